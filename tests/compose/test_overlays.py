"""What deploy/secure.yml and deploy/durable.yml promise, seen on a suite that was started with them."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis

from deploy.make_secrets import NO_REDIS, USERS
from local.probe import free_port
from tests.contract.worker import eventually
from tests.system.client import BACKENDS, Client
from tests.system.suites import ComposeSuite


@pytest.fixture(scope="module")
def strict() -> Iterator[ComposeSuite]:
    """With both: what one of them changes, the other must bear."""
    ports = {name: str(free_port()) for name in ("KAFKA_2_PORT", "KAFKA_3_PORT")}
    suite = ComposeSuite("secure.yml", "durable.yml", **ports)
    try:
        suite.up(workers=2)
        yield suite
    finally:
        suite.close()


@pytest.fixture
async def client(strict: ComposeSuite) -> AsyncIterator[Client]:
    client = Client(strict)
    yield client
    await client.http.aclose()


async def confirmed_on_all(client: Client) -> str:
    booking = await client.book()
    ended = await client.legs_ended(booking)
    assert ended["state"] == "confirmed", ended
    assert {ended["status"][backend]["state"] for backend in BACKENDS} == {"completed"}, ended
    return booking


async def accepted(client: Client) -> bool:
    return (await client.post()).status_code == 202


async def test_no_service_is_refused_what_it_needs(strict: ComposeSuite, client: Client) -> None:
    await confirmed_on_all(client)

    async def looked_after() -> bool:
        board = await client.http.get(f"{strict.url('monitoring')}/dashboard")
        ready = await client.http.get(f"{strict.url('monitoring')}/readyz")
        return bool(board.json()["metrics"]["redis"]["memoryBytes"] and ready.status_code == 200)

    await eventually(looked_after, "monitoring to read what Redis says")
    with redis.Redis.from_url(strict.redis_url()) as operator:
        told: Any = operator.acl_log()
        known: Any = operator.client_list()
    assert told == []
    assert {one["user"] for one in known} >= {*USERS} - {"kafka-service"}, known


def test_each_knows_its_own_password_alone(strict: ComposeSuite) -> None:
    passwords = {name: strict.secret(name, "redis_password") for name in USERS}
    assert len({*passwords.values(), strict.secret("redis", "redis_password")}) == len(USERS) + 1
    assert strict.compose("exec", "-T", "providers", "ls", "/run/booking-queue").split() == ["api_key"]
    assert NO_REDIS not in USERS


def test_no_volume_is_without_a_name(strict: ComposeSuite) -> None:
    """One such would be left behind by each start."""
    names = '{{range .Mounts}}{{if eq .Type "volume"}}{{println .Name}}{{end}}{{end}}'
    containers = strict.compose("ps", "--all", "--quiet").split()
    told = subprocess.run(["docker", "inspect", "-f", names, *containers], capture_output=True, text=True, check=True)
    volumes = told.stdout.split()
    assert volumes and all(name.startswith(f"{strict.project}_") for name in volumes), volumes


def test_nobody_comes_in_without_a_name(strict: ComposeSuite) -> None:
    place: dict[str, Any] = {"host": "127.0.0.1", "port": strict.ports["redis"]}
    for password in (None, strict.secret("redis", "redis_password"), strict.secret("worker", "redis_password")):
        with redis.Redis(**place, password=password) as nobody, pytest.raises(redis.AuthenticationError):
            nobody.ping()
    with redis.Redis(**place, username="worker", password=strict.secret("worker", "redis_password")) as worker:
        assert worker.ping()
        for words in (["FLUSHALL"], ["ACL", "LIST"], ["CONFIG", "SET", "appendonly", "no"], ["SHUTDOWN"]):
            with pytest.raises(redis.exceptions.NoPermissionError):
                worker.execute_command(*words)


async def test_two_of_three_brokers_have_each_message(strict: ComposeSuite, client: Client) -> None:
    await confirmed_on_all(client)
    ask = ["/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server", "kafka:19092", "--describe"]
    topics = [line for line in strict.compose("exec", "-T", "kafka", *ask).splitlines() if "TopicId" in line]
    assert any("booking-events" in line for line in topics)
    for line in topics:
        assert "ReplicationFactor: 3" in line and "min.insync.replicas=2" in line, line
    strict.compose("kill", "kafka-2")
    await confirmed_on_all(client)
    strict.compose("start", "kafka-2")


async def test_without_a_replica_nothing_is_accepted(strict: ComposeSuite, client: Client) -> None:
    strict.compose("stop", "redis-replica")

    async def refused() -> bool:
        answer = await client.post()
        ready = await client.http.get(f"{strict.url('api')}/readyz")
        return answer.status_code == 503 and "retry-after" in answer.headers and ready.status_code == 503

    await eventually(refused, "503 while there is no replica")
    strict.compose("start", "redis-replica")
    await eventually(lambda: accepted(client), "a replica, and 202")
    await confirmed_on_all(client)


async def test_what_was_done_is_known_after_redis_was_started_anew(strict: ComposeSuite, client: Client) -> None:
    booking = await confirmed_on_all(client)
    strict.compose("restart", "redis")

    async def known() -> bool:
        answer = await client.http.get(f"{strict.url('api')}/api/bookings/{booking}")
        return answer.status_code == 200 and answer.json()["state"] == "confirmed"

    await eventually(known, "the booking to be there")
    await eventually(lambda: accepted(client), "a replica, and 202")
    await confirmed_on_all(client)
