"""The running suite under test: child processes, or Docker Compose; the same verbs for both."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Protocol

import httpx

from local.private_suite import PrivateSuite
from local.probe import LOOPBACK, free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {
    "api": "api_service",
    "queue": "queue_service",
    "stream": "stream_service",
    "kafka-service": "kafka_service",
    "monitoring": "monitoring_service",
    "providers": "providers",
}
PORT_NAMES = {
    "api": "API_PORT",
    "queue": "QUEUE_PORT",
    "stream": "STREAM_PORT",
    "kafka-service": "KAFKA_SERVICE_PORT",
    "monitoring": "MONITORING_PORT",
    "providers": "PROVIDERS_PORT",
    "frontend": "FRONTEND_PORT",
    "redis": "REDIS_PORT",
    "kafka": "KAFKA_PORT",
    "smtp": "SMTP_PORT",
}


class Suite(Protocol):
    """Services by their compose names; `redis` and `kafka` can be stopped and started, workers scaled and killed."""

    def url(self, service: str) -> str: ...
    def redis_url(self) -> str: ...
    def scale(self, workers: int) -> None: ...
    def kill_worker(self, worker_id: str) -> None: ...
    def stop(self, service: str) -> None: ...
    def start(self, service: str) -> None: ...
    def starts(self) -> dict[str, str]: ...


class LocalSuite:
    def __init__(self, folder: Path):
        self.private = PrivateSuite(folder)
        self._workers: list[str] = []

    def up(self) -> None:
        self.private.start()

    def close(self) -> None:
        self.private.close()

    def url(self, service: str) -> str:
        return self.private.url(SERVICES[service])

    def redis_url(self) -> str:
        return f"redis://:{self.private.redis.password}@{LOOPBACK}:{self.private.redis.port}"

    def scale(self, workers: int) -> None:
        self._workers = [name for name in self._workers if self.private.processes[name].poll() is None]
        new = [self.private.start_worker() for _ in range(workers - len(self._workers))]
        self._workers += new
        for name in new:  # before it has started it cannot answer SIGTERM in good order
            assert wait_until(partial(self._started, name), 40), self.private.log(name)
        leaving = self._workers[workers:]
        del self._workers[workers:]
        for name in leaving:
            self.private.processes[name].send_signal(signal.SIGTERM)
        for name in leaving:
            assert self.private.stopped(name) == 0, self.private.log(name)

    def _started(self, name: str) -> bool:
        return "worker_started" in self.private.whole_log(name)

    def kill_worker(self, worker_id: str) -> None:
        """kill -9; as under a supervisor, another starts in its place."""
        assert wait_until(lambda: worker_id in self._pids(), 20), f"monitoring does not know {worker_id}"
        pids = self._pids()
        names = {process.pid: name for name, process in self.private.processes.items() if name in self._workers}
        name = names[pids[worker_id]]
        self.private.kill(name)
        self._workers.remove(name)
        self._workers.append(self.private.start_worker())

    def _pids(self) -> dict[str, int]:
        found = httpx.get(f"{self.url('monitoring')}/dashboard", timeout=10).json()["workers"]["list"]
        return {entry["id"]: entry["pid"] for entry in found}

    def stop(self, service: str) -> None:
        self._broker(service).stop()

    def start(self, service: str) -> None:
        self._broker(service).start()

    def _broker(self, service: str):  # type: ignore[no-untyped-def]
        return {"redis": self.private.redis, "kafka": self.private.kafka}[service]

    def starts(self) -> dict[str, str]:
        return {name: str(self.private.processes[folder].pid) for name, folder in SERVICES.items()}


class ComposeSuite:
    """A project of its own on free ports, built from this checkout. `overlays` are files of deploy/."""

    def __init__(self, *overlays: str, **env: str) -> None:
        self.project = f"bqtest{random.randrange(10**6)}"
        self.ports = {name: free_port() for name in PORT_NAMES}
        files = ["docker-compose.yml", *(f"deploy/{name}" for name in overlays)]
        self._env = os.environ | {PORT_NAMES[name]: str(port) for name, port in self.ports.items()}
        self._env |= {"COMPOSE_FILE": ":".join(files), "COMPOSE_PATH_SEPARATOR": ":", **env}

    def compose(self, *args: str, seconds: float = 600) -> str:
        command = ["docker", "compose", "-p", self.project, *args]
        done = subprocess.run(
            command, cwd=ROOT, env=self._env, capture_output=True, text=True, timeout=seconds, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-3000:]}")
        return done.stdout

    def up(self, workers: int = 3) -> None:
        self.compose("up", "--build", "--detach", "--wait", "--scale", f"worker={workers}", seconds=900)

    def close(self) -> None:
        self.compose("down", "--volumes", "--timeout", "5")

    def url(self, service: str) -> str:
        return f"http://{LOOPBACK}:{self.ports[service]}"

    def redis_url(self) -> str:
        login = ":".join(self.secret("redis", name) for name in ("redis_user", "redis_password"))
        return f"redis://{login}@{LOOPBACK}:{self.ports['redis']}"

    def secret(self, service: str, name: str) -> str:
        return self.compose("exec", "-T", service, "cat", f"/run/booking-queue/{name}").strip()

    def scale(self, workers: int) -> None:
        self.compose("up", "--detach", "--no-recreate", "--no-deps", "--scale", f"worker={workers}", "worker")

    def kill_worker(self, worker_id: str) -> None:
        """By its host name, which is its container's short id; the restart policy does not bring a killed one back."""
        subprocess.run(["docker", "kill", "-s", "KILL", worker_id[:12]], check=True, capture_output=True)
        subprocess.run(["docker", "start", worker_id[:12]], check=True, capture_output=True)

    def stop(self, service: str) -> None:
        self.compose("stop", service)

    def start(self, service: str) -> None:
        self.compose("start", service)
        assert wait_until(lambda: "healthy" in self.compose("ps", "--format", "{{.Health}}", service), 60)

    def starts(self) -> dict[str, str]:
        lines = self.compose("ps", "--all", "--format", "json").splitlines()
        found = {entry["Service"]: entry["ID"] for entry in map(json.loads, lines) if entry["Service"] in SERVICES}
        told = subprocess.run(
            ["docker", "inspect", "-f", "{{.State.StartedAt}} {{.RestartCount}}", *found.values()],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        return dict(zip(found, told, strict=True))
