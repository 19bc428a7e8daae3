"""The suite to break as child processes on free ports; each can be started with a planted bug, or behind a proxy."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from booking_queue.settings import Settings
from local.kafka_server import write_kafka_config
from local.private_suite import PrivateSuite
from local.probe import LOOPBACK
from tests.faults.lab import Lab

SERVICES = ("providers", "queue_service", "stream_service", "kafka_service", "api_service")


class Processes(PrivateSuite):
    """`planted`: by the name of a service, or `worker`, the bug it starts with. `detours`: settings that lead a service
    to a broker through a proxy."""

    def __init__(self, folder: Path, *, kafka: bool, **env: str):
        super().__init__(folder, LOG_LEVEL="WARNING", **env)
        self.planted: dict[str, str] = {}
        self.detours: dict[str, str] = {}
        self.has_kafka = kafka

    @property
    def api_port(self) -> int:
        return self.ports["api_service"]

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, **self.detours}

    def begin(self, workers: int) -> list[str]:
        self.start(tuple(name for name in SERVICES if self.has_kafka or name != "kafka_service"), kafka=self.has_kafka)
        return [self.start_worker() for _ in range(workers)]

    def start_worker(self, **env: str) -> str:
        """Its id in the system is its name here."""
        return super().start_worker(**{"WORKER_ID": f"w{self._workers + 1}", **env})

    def _spawn(self, name: str, module: str, **env: str) -> None:
        bug = self.planted.get("worker" if module == "worker_service.app" else name)
        if bug:
            super()._spawn(name, "tests.faults.planted", PLANTED_BUG=bug, PLANTED_MODULE=module, **env)
        else:
            super()._spawn(name, module, **env)

    def restart_service(self, name: str) -> None:
        self.stop(name)
        self.start_service(name)
        self.wait_for(name)

    def freeze(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGCONT)

    def ended(self, name: str) -> bool:
        return self.processes[name].poll() is not None

    def forget(self, name: str) -> None:
        """One that ended by itself."""
        self.processes.pop(name)

    def settings(self) -> Settings:
        """Past every proxy."""
        return Settings(
            redis_host=LOOPBACK,
            redis_port=self.redis.port,
            redis_password=self.redis.password,
            kafka_broker=self.env["KAFKA_BROKER"],
        )

    def providers_db(self) -> Path:
        return self.folder / "providers.sqlite3"

    def close(self) -> None:
        for name in self.processes:
            self.thaw(name)  # a frozen one cannot end
        super().close()

    def advertise_kafka_at(self, port: int) -> None:
        """Clients are led to `port`, whichever address they came by."""
        kafka = self.kafka
        command = kafka.command

        def leading_there() -> list[str]:
            told = command()
            config = write_kafka_config(kafka.folder, kafka.port, kafka.controller_port)
            own = f"advertised.listeners=PLAINTEXT://{LOOPBACK}:"
            config.write_text(config.read_text().replace(f"{own}{kafka.port}", f"{own}{port}"))
            return told

        kafka.command = leading_there  # type: ignore[method-assign]


class ProcessLab(Lab):
    suite: Processes

    def start_worker(self, **env: str) -> str:
        name = self.suite.start_worker(**env)
        self.workers.append(name)
        return name

    async def plant(self, part: str, bug: str, *, workers: int) -> None:
        """From here on this service, or the workers, have this bug, and nothing of what was done before is left."""
        services = {part, *self.suite.planted} - {"worker"}
        self.suite.planted = {part: bug}
        for name in list(self.workers):
            self.kill_worker(name)
        observer = self.observer()
        await observer.redis.flushall()
        await observer.close()
        for name in services:
            await asyncio.to_thread(self.suite.restart_service, name)
        for _ in range(workers):
            self.start_worker()
        await self.started()
