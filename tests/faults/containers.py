"""The suite to break as `docker compose up --scale worker=3`: containers are killed, paused and cut off the network."""

from __future__ import annotations

import random
import secrets
import subprocess
from pathlib import Path

from booking_queue.settings import Settings
from local.probe import LOOPBACK, kafka_answers, redis_answers, wait_until
from tests.system.suites import ComposeSuite

WORKER_GRACE = 45  # what docker-compose.yml gives one to end
START_SECONDS = 60.0
DATABASE = "/var/lib/booking-queue/providers"


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"docker {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


class Broker:
    """A broker's container; the same verbs as `local.broker_process`, and two for its network."""

    def __init__(self, suite: Containers, service: str):
        self._suite = suite
        self._service = service

    def kill(self) -> None:
        self._suite.compose("kill", self._service)

    def stop(self) -> None:
        self._suite.compose("stop", self._service)

    def start(self) -> None:
        self._suite.compose("start", self._service)
        if not wait_until(lambda: self._suite.answers(self._service), START_SECONDS):
            raise RuntimeError(
                f"{self._service} does not answer: {self._suite.compose('logs', '-n', '20', self._service)}"
            )

    def cut_off(self) -> None:
        """Nothing comes in or goes out any more, and no one is told."""
        docker("network", "disconnect", self._suite.network, self._suite.container(self._service))

    def join(self) -> None:
        container = self._suite.container(self._service)
        docker("network", "connect", "--alias", self._service, self._suite.network, container)


class Containers(ComposeSuite):
    """Workers go by their containers' short ids, which are also their names in the system."""

    has_kafka = True

    def __init__(self, folder: Path, **env: str):
        super().__init__()
        self.folder = folder
        self.redis = Broker(self, "redis")
        self.kafka = Broker(self, "kafka")
        self._password = secrets.token_urlsafe(16)
        self._env |= {"LOG_LEVEL": "WARNING", "REDIS_PASSWORD": self._password, **env}
        self._ended: set[str] = set()

    @property
    def network(self) -> str:
        return f"{self.project}_default"

    def container(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service).strip()

    def answers(self, service: str) -> bool:
        if service == "redis":
            return redis_answers(LOOPBACK, self.ports["redis"], self._password)
        return kafka_answers(LOOPBACK, self.ports["kafka"])

    # Workers

    def begin(self, workers: int) -> list[str]:
        services = ("redis", "kafka", "providers", "queue", "stream", "kafka-service", "api", "worker")
        self.compose("up", "--build", "--detach", "--wait", "--scale", f"worker={workers}", *services, seconds=900)
        return self._workers()

    def _workers(self) -> list[str]:
        return [name[:12] for name in self.compose("ps", "--all", "--quiet", "worker").split()]

    def start_worker(self) -> str:
        """A new container, as whoever looks after containers starts one in place of the dead."""
        for name in self._ended:
            docker("rm", "--force", name)
        self._ended.clear()
        before = self._workers()
        self.scale(len(before) + 1)
        return next(name for name in self._workers() if name not in before)

    def kill(self, name: str) -> None:
        docker("kill", "--signal", "KILL", name)
        self._ended.add(name)

    def stop(self, name: str) -> int:  # type: ignore[override]
        """`docker stop`; the exit status."""
        docker("stop", "--time", str(WORKER_GRACE), name)
        self._ended.add(name)
        return int(docker("inspect", "--format", "{{.State.ExitCode}}", name))

    def freeze(self, name: str) -> None:
        docker("pause", name)

    def thaw(self, name: str) -> None:
        docker("unpause", name)

    def cut_off(self, name: str) -> None:
        docker("network", "disconnect", self.network, name)

    def join(self, name: str) -> None:
        docker("network", "connect", "--alias", "worker", self.network, name)

    def ended(self, name: str) -> bool:
        return docker("inspect", "--format", "{{.State.Running}}", name) != "true"

    def forget(self, name: str) -> None:
        self._ended.add(name)

    def log(self, name: str) -> str:
        return docker("logs", "--tail", "20", name)

    # What an observer needs

    @property
    def api_port(self) -> int:
        return self.ports["api"]

    def settings(self) -> Settings:
        return Settings(
            redis_host=LOOPBACK,
            redis_port=self.ports["redis"],
            redis_password=self._password,
            kafka_broker=f"{LOOPBACK}:{self.ports['kafka']}",
        )

    def providers_db(self) -> Path:
        """A copy, with its journal; nothing is written while all is quiet."""
        copy = self.folder / f"providers-{random.randrange(10**9)}"
        self.compose("cp", f"providers:{DATABASE}", str(copy))
        return copy / "providers.sqlite3"
