"""A whole suite of its own on free ports: brokers and services as child processes, to measure and to break."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from local.broker_process import KafkaProcess, RedisProcess
from local.paths import private_folder
from local.probe import LOOPBACK, free_port, wait_until

SERVICES = ("providers", "queue_service", "stream_service", "kafka_service", "api_service", "monitoring_service")
ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 40.0


class PrivateSuite:
    """`start` brings up brokers, then the named services; workers are started one by one and named w1, w2, …"""

    def __init__(self, folder: Path, **env: str):
        self.folder = private_folder(folder)
        self.redis = RedisProcess(self.folder / "redis", secrets.token_urlsafe(16))
        self.kafka = KafkaProcess(self.folder / "kafka")
        self.ports = {name: free_port() for name in SERVICES}
        self.smtp_port, self.frontend_port = free_port(), free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._more_env = env
        self._workers = 0

    def url(self, service: str) -> str:
        return f"http://{LOOPBACK}:{self.ports[service]}"

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "REDIS_HOST": LOOPBACK,
            "REDIS_PORT": str(self.redis.port),
            "REDIS_PASSWORD": self.redis.password,
            "KAFKA_BROKER": self.kafka.broker,
            "API_URL": self.url("api_service"),
            "QUEUE_SERVICE_URL": self.url("queue_service"),
            "STREAM_SERVICE_URL": self.url("stream_service"),
            "KAFKA_SERVICE_URL": self.url("kafka_service"),
            "MONITORING_URL": self.url("monitoring_service"),
            "PROVIDERS_URL": self.url("providers"),
            "FRONTEND_URL": f"http://{LOOPBACK}:{self.frontend_port}",
            "SMTP_HOST": LOOPBACK,
            "SMTP_PORT": str(self.smtp_port),
            "DOCUMENTS_DIR": str(self.folder / "documents"),
            "PROVIDERS_DB": str(self.folder / "providers.sqlite3"),
            "HISTORY_FILE": str(self.folder / "history"),
            "BIND_HOST": LOOPBACK,
            **self._more_env,
        }

    def start(self, services: tuple[str, ...] = SERVICES, *, kafka: bool = True) -> None:
        self.redis.start()
        if kafka:
            self.kafka.start()
        for name in services:
            self.start_service(name)
        for name in services:
            self.wait_for(name)

    def start_service(self, name: str) -> None:
        self._spawn(name, f"{name}.app", PORT=str(self.ports[name]))

    def start_worker(self, **env: str) -> str:
        self._workers += 1
        name = f"w{self._workers}"
        self._spawn(name, "worker_service.app", **env)
        return name

    def _spawn(self, name: str, module: str, **env: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=ROOT,
                env={**self.env, **env},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def wait_for(self, name: str) -> None:
        """Until /livez answers."""

        def alive() -> bool:
            if self.processes[name].poll() is not None:
                raise RuntimeError(f"{name} ended: {self.log(name)}")
            try:
                return httpx.get(f"{self.url(name)}/livez", timeout=1).status_code == 200
            except httpx.HTTPError:
                return False

        if not wait_until(alive, START_SECONDS):
            raise RuntimeError(f"{name} did not answer in {START_SECONDS:g} s: {self.log(name)}")

    def whole_log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def log(self, name: str) -> str:
        """Its end."""
        return self.whole_log(name)[-2000:]

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str, seconds: float = 40) -> int:
        """SIGTERM; the exit status. What takes longer is killed, and answers -9."""
        self.processes[name].send_signal(signal.SIGTERM)
        return self.stopped(name, seconds)

    def stopped(self, name: str, seconds: float = 40) -> int:
        """The exit status of one that was told to stop. It is told once: a second word may find it half gone."""
        process = self.processes.pop(name)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def close(self) -> None:
        for process in self.processes.values():
            process.terminate()
        until = time.monotonic() + 10
        for process in self.processes.values():
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()
        self.kafka.stop()
        self.redis.stop()
