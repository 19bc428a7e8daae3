"""Where the tests' Redis and Kafka come from: given by the environment, else Docker, else child processes.

One Redis and one Kafka serve the whole session; tests keep apart by name prefix. A test that breaks a
broker asks `BrokerFactory` for one of its own.
"""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from local.broker_process import KafkaProcess, RedisProcess
from local.kafka_server import KafkaMissing
from local.mode import choose
from local.redis_server import RedisMissing
from tests import leftovers
from tests.broker_containers import KAFKA_IMAGE, REDIS_IMAGE, KafkaContainer, RedisContainer, at_hand

IN_CI = os.environ.get("CI", "") not in ("", "0", "false")


class RestartableRedis(Protocol):
    host: str
    port: int
    password: str

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


class RestartableKafka(Protocol):
    host: str
    port: int

    @property
    def broker(self) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


Broker = TypeVar("Broker", bound=RestartableRedis | RestartableKafka)


def missing(what: str) -> None:
    """A part of the suite cannot run here: skipped for a developer, a failure in CI."""
    if IN_CI:
        pytest.fail(f"needed in CI and missing: {what}")
    pytest.skip(what)


@functools.cache
def docker_answers() -> bool:
    """Whether a Docker engine serves the brokers; `DOCKER=1|0` says, else one that answers and has the images."""
    mode = choose()
    if mode.docker:
        leftovers.sweep_containers()
    lacking = [image for image in (REDIS_IMAGE, KAFKA_IMAGE) if mode.docker and not at_hand(image)]
    if lacking and os.environ.get("DOCKER") == "1":
        pytest.fail(f"DOCKER=1, but there is no image {', '.join(lacking)}")
    return mode.docker and not lacking


class BrokerFactory:
    """Makes brokers that a test may stop, kill and start again; ends them all with the test.

    They are child processes, which start in a second and whose files a test can reach; containers where a
    machine can have no such process, or where they are `in_docker` by choice.
    """

    def __init__(self, in_docker: bool = False) -> None:
        self._in_docker = in_docker
        self._folder = Path(tempfile.mkdtemp(prefix="booking-queue-test-"))
        self._made: list[RestartableRedis | RestartableKafka] = []

    def redis(self, appendfsync: str = "everysec") -> RestartableRedis:
        password = secrets.token_urlsafe(16)
        folder = self._folder / f"redis-{len(self._made)}"
        if not self._in_docker:
            try:
                return self._start(RedisProcess(folder, password, appendfsync))
            except RedisMissing as error:
                self._need_docker(error)
        return self._start(RedisContainer(password, appendfsync))

    def kafka(self) -> RestartableKafka:
        folder = self._folder / f"kafka-{len(self._made)}"
        if not self._in_docker:
            try:
                return self._start(KafkaProcess(folder))
            except KafkaMissing as error:
                self._need_docker(error)
        return self._start(KafkaContainer())

    def _need_docker(self, error: Exception) -> None:
        if not docker_answers():
            missing(str(error))

    def _start(self, made: Broker) -> Broker:
        self._made.append(made)
        made.start()
        return made

    def close(self) -> None:
        for made in reversed(self._made):
            if isinstance(made, RedisContainer | KafkaContainer):
                made.remove()
            else:
                made.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


class Brokers:
    """The session's Redis and Kafka. Each is started when it is first asked for."""

    def __init__(self, factory: BrokerFactory) -> None:
        self._factory = factory

    @functools.cached_property
    def _redis(self) -> RestartableRedis:
        return self._factory.redis()

    @functools.cached_property
    def _kafka(self) -> RestartableKafka:
        return self._factory.kafka()

    @property
    def redis_host(self) -> str:
        return os.environ.get("REDIS_HOST") or self._redis.host

    @property
    def redis_port(self) -> int:
        return int(os.environ.get("REDIS_PORT") or 6379) if os.environ.get("REDIS_HOST") else self._redis.port

    @property
    def redis_password(self) -> str | None:
        return os.environ.get("REDIS_PASSWORD") if os.environ.get("REDIS_HOST") else self._redis.password

    @property
    def kafka_broker(self) -> str:
        return os.environ.get("KAFKA_BROKER") or self._kafka.broker
