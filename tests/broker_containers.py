"""Redis and Kafka in containers, on a fixed loopback port, so that they come back where they were."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from testcontainers.core.container import DockerContainer

from local.broker_process import BrokerFailed
from local.probe import LOOPBACK, free_port, kafka_answers, redis_answers, wait_until
from tests import leftovers

REDIS_IMAGE = os.environ.get("REDIS_IMAGE") or "redis:8.0.2"
KAFKA_IMAGE = os.environ.get("KAFKA_IMAGE") or "apache/kafka:4.1.0"


def at_hand(image: str) -> bool:
    """Whether the engine has the image, or can pull it."""
    docker = ["docker", "image", "inspect", image], ["docker", "pull", "--quiet", image]
    return any(subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in docker)


class _Container:
    host = LOOPBACK

    def __init__(self, inner_port: int) -> None:
        os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
        self.port = free_port()
        self._inner_port = inner_port
        self._container: DockerContainer | None = None

    def describe(self) -> DockerContainer:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        """Start, and return when it answers."""
        if self._container is None:
            self._container = self.describe().with_kwargs(labels=leftovers.labels())
            published: dict[str, Any] = self._container.ports
            published[f"{self._inner_port}/tcp"] = (LOOPBACK, self.port)
            self._container.start()
        else:
            self._container.get_wrapped_container().start()
        if not wait_until(self.answers, 60):
            logs = self._container.get_wrapped_container().logs(tail=20).decode(errors="replace")
            raise BrokerFailed(f"{self._container.image} did not answer on port {self.port}: {logs}")

    def stop(self) -> None:
        if self._container:
            self._container.get_wrapped_container().stop(timeout=15)

    def kill(self) -> None:
        if self._container:
            self._container.get_wrapped_container().kill(signal="KILL")

    def remove(self) -> None:
        if self._container:
            self._container.stop()
            self._container = None


class RedisContainer(_Container):
    def __init__(self, password: str, appendfsync: str = "everysec") -> None:
        super().__init__(6379)
        self.password = password
        self.appendfsync = appendfsync

    def describe(self) -> DockerContainer:
        durable = f"--appendonly yes --appendfsync {self.appendfsync} --save ''"
        limits = f"--maxmemory-policy noeviction --requirepass {self.password}"
        return DockerContainer(REDIS_IMAGE, command=f"redis-server {durable} {limits}")

    def answers(self) -> bool:
        return redis_answers(self.host, self.port, self.password)


class KafkaContainer(_Container):
    def __init__(self) -> None:
        super().__init__(9092)

    @property
    def broker(self) -> str:
        return f"{self.host}:{self.port}"

    def describe(self) -> DockerContainer:
        return DockerContainer(
            KAFKA_IMAGE,
            env={
                "KAFKA_NODE_ID": "1",
                "KAFKA_PROCESS_ROLES": "broker,controller",
                "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@127.0.0.1:9093",
                # Of transactions the broker tells itself, and what we call it by is not to be reached from inside.
                "KAFKA_LISTENERS": "PLAINTEXT://:9092,INNER://127.0.0.1:19092,CONTROLLER://127.0.0.1:9093",
                "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{self.broker},INNER://127.0.0.1:19092",
                "KAFKA_INTER_BROKER_LISTENER_NAME": "INNER",
                "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
                "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "INNER:PLAINTEXT,CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
                "KAFKA_LOG_DIRS": "/var/lib/kafka/data",
                "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
                "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
                "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "10",
                "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
                "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
                "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
                "KAFKA_BROKER_SESSION_TIMEOUT_MS": "4000",
                "KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "1000",
                "KAFKA_HEAP_OPTS": "-Xmx512m -Xms128m",
                "KAFKA_OPTS": "-XX:TieredStopAtLevel=1",
            },
        )

    def answers(self) -> bool:
        return kafka_answers(self.host, self.port)
