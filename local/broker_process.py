"""A Redis or a Kafka run as a child process: start, stop, kill and start again on the same port and data."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

from local.kafka_archive import ensure_archive
from local.kafka_server import format_storage, kafka_command, write_kafka_config
from local.paths import private_folder
from local.probe import LOOPBACK, free_port, kafka_answers, redis_answers, wait_until
from local.redis_server import find_redis, write_redis_config


class BrokerFailed(RuntimeError):
    """The broker's process ended, or did not answer in time; its last log lines are in the message."""


class BrokerProcess(ABC):
    host = LOOPBACK
    start_limit = 30.0

    def __init__(self, folder: Path) -> None:
        self.folder = private_folder(folder)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def answers(self) -> bool: ...

    @property
    def pid(self) -> int:
        if self._process is None:
            raise BrokerFailed(f"{type(self).__name__} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start, and return when it answers."""
        command = self.command()
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder)
        self._process = process
        ready = wait_until(lambda: process.poll() is not None or self.answers(), self.start_limit)
        if not ready or process.poll() is not None:
            self.kill()
            tail = (self.folder / "log").read_text(errors="replace")[-1500:]
            raise BrokerFailed(f"{type(self).__name__} did not start on port {self.port}: {tail}")

    def stop(self) -> None:
        """Ask it to end, as an operator would; what takes longer than 15 s is killed."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None


class RedisProcess(BrokerProcess):
    def __init__(self, folder: Path, password: str, appendfsync: str = "everysec") -> None:
        super().__init__(folder)
        self.password = password
        self.appendfsync = appendfsync

    def command(self) -> list[str]:
        config = write_redis_config(self.folder, self.port, self.password, self.appendfsync)
        return [str(find_redis().path), str(config)]

    def answers(self) -> bool:
        return redis_answers(self.host, self.port, self.password)


class KafkaProcess(BrokerProcess):
    start_limit = 60.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.controller_port = free_port()

    @property
    def broker(self) -> str:
        return f"{self.host}:{self.port}"

    def command(self) -> list[str]:
        ensure_archive()
        config = write_kafka_config(self.folder, self.port, self.controller_port)
        format_storage(config)
        return kafka_command(config)

    def answers(self) -> bool:
        return kafka_answers(self.host, self.port)
