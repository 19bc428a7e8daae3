"""What the backend services do while a broker or Redis is away, and with what failed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from booking_queue.backends.base import Published
from booking_queue.backends.memory import MemoryPublisher
from booking_queue.backends.memory_broker import MemoryBroker
from booking_queue.domain.errors import LedgerUnavailable, Overloaded
from booking_queue.domain.job import Backend
from booking_queue.ledger.connection import ClusterRefused, check, connect
from booking_queue.ledger.ledger import Ledger, LegRef
from booking_queue.ledger.script import OperationFailed, Scripts
from booking_queue.settings import Settings
from booking_queue.web import backend_service
from local.broker_process import RedisProcess
from local.probe import free_port
from local.redis_server import RedisMissing
from tests.brokers import BrokerFactory, missing
from tests.services.live_app import Live, live
from tests.services.memory_service import JOB, app_of, broker_size, running


@pytest.fixture
async def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
async def service(redis_settings: Settings, broker: MemoryBroker) -> AsyncIterator[Live]:
    async with running(redis_settings, broker) as found:
        yield found


async def test_a_broker_that_is_away_makes_it_pending_and_nothing_is_lost(service: Live, broker: MemoryBroker) -> None:
    broker.up = False
    answer = await service.http.post("/jobs", json=JOB)
    assert answer.status_code == 201
    job_id = answer.json()["jobId"]
    assert answer.json()["status"] == "pending"
    broker.up = True
    await asyncio.sleep(0.05)
    stats = (await service.http.get("/stats")).json()
    assert (stats["outbox"], stats["backlog"]) == (1, 0)
    assert 0.05 <= stats["outboxOldestAgeSeconds"] < 10
    leg = {"id": job_id, "generation": 1}
    for _ in range(2):  # sent again, it is still there once
        sent = (await service.http.post("/publish", json={"legs": [leg]})).json()["legs"]
        assert sent == [{"id": job_id, "state": "queued", "receipt": sent[0]["receipt"], "waits": False}]
    assert broker_size(broker) == 1
    stats = (await service.http.get("/stats")).json()
    assert (stats["outbox"], stats["outboxOldestAgeSeconds"]) == (0, 0)


async def test_legs_are_answered_in_order_and_a_failing_one_fails_alone(service: Live) -> None:
    ids = [(await service.http.post("/jobs", json=JOB)).json()["jobId"] for _ in range(3)]
    asked = [ids[2], "nobody-knows-it", ids[0], ids[1]]
    answer = await service.http.post("/publish", json={"legs": [{"id": id, "generation": 1} for id in asked]})
    assert answer.status_code == 200
    legs = answer.json()["legs"]
    assert [leg["id"] for leg in legs] == asked
    assert [leg["state"] for leg in legs] == ["queued", "pending", "queued", "queued"]


@pytest.mark.parametrize("legs", [[{"id": "x"}], [{"id": "x", "generation": 0}], [{"id": "x", "generation": 1}] * 1001])
async def test_a_publish_that_makes_no_sense_is_refused(service: Live, legs: list[Any]) -> None:
    assert (await service.http.post("/publish", json={"legs": legs})).status_code == 400


async def test_a_thousand_legs_with_long_ids_fit_in_one_request(service: Live) -> None:
    legs = [{"id": f"{n:0>150}", "generation": 1} for n in range(1000)]
    answer = await service.http.post("/publish", json={"legs": legs})
    assert answer.status_code == 200
    assert len(answer.json()["legs"]) == 1000


class Slow(MemoryPublisher):
    async def publish(self, legs: Sequence[LegRef]) -> list[Published | Exception]:
        await asyncio.sleep(30)
        return await super().publish(legs)


class Broken(MemoryPublisher):
    async def publish(self, legs: Sequence[LegRef]) -> list[Published | Exception]:
        return [LedgerUnavailable("lost the answer") for _ in legs]


@pytest.mark.parametrize("kind", [Slow, Broken])
async def test_a_publish_that_hangs_or_fails_leaves_it_pending(
    redis_settings: Settings, kind: type[MemoryPublisher]
) -> None:
    settings = redis_settings.model_copy(update={"publish_deadline": 0.3})

    def make(scripts: Scripts, settings: Settings) -> MemoryPublisher:
        return kind(Ledger(scripts), MemoryBroker(), Backend.RQ)

    async with live(app_of(settings, MemoryBroker(), make)) as service:
        started = time.monotonic()
        answer = await service.http.post("/jobs", json=JOB)
        assert time.monotonic() - started < 10
        assert answer.json()["status"] == "pending"
        assert (await service.http.get("/stats")).json()["outbox"] == 1


FULL, LOST, BUG = Overloaded("full"), LedgerUnavailable("lost the answer"), OperationFailed("a bug")


@pytest.mark.parametrize(
    ("ends", "status", "wait"),
    [([FULL, FULL], 503, "5"), ([FULL, LOST], 503, "2"), ([FULL, BUG], 500, None), ([None, BUG], 500, None)],
)
async def test_of_a_batch_that_failed_nothing_is_denied_that_may_have_been_accepted(
    service: Live, monkeypatch: pytest.MonkeyPatch, ends: list[Exception | None], status: int, wait: str | None
) -> None:
    accept, left = Ledger.accept, iter(ends)

    async def accepting(ledger: Ledger, *job: Any) -> int:
        if error := next(left):
            raise error
        return await accept(ledger, *job)

    monkeypatch.setattr(Ledger, "accept", accepting)
    answer = await service.http.post("/jobs/batch", json={"items": [JOB, JOB]})
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, wait)


async def test_dead_letters_are_listed_and_start_over(service: Live) -> None:
    job_id = (await service.http.post("/jobs", json=JOB)).json()["jobId"]
    early = await service.http.post(f"/dead-letters/{job_id}/redrive")
    assert early.status_code == 409
    assert "queued" in early.json()["error"]
    assert (await service.http.post("/dead-letters/nobody-knows-it/redrive")).status_code == 404
    await service.http.post(f"/bury/{job_id}")
    letters = (await service.http.get("/dead-letters", params={"count": 5})).json()["deadLetters"]
    assert [letter["id"] for letter in letters] == [job_id]
    again = await service.http.post(f"/dead-letters/{job_id}/redrive")
    assert again.status_code == 202
    assert again.json()["state"] == "queued"
    assert (await service.http.get("/dead-letters")).json() == {"deadLetters": []}
    assert (await service.http.get("/dead-letters", params={"count": 0})).status_code == 400


async def test_metrics_count_what_reached_the_broker(service: Live, broker: MemoryBroker) -> None:
    await service.http.post("/jobs", json=JOB)
    broker.up = False
    await service.http.post("/jobs", json=JOB)
    broker.up = True
    text = (await service.http.get("/metrics")).text
    assert 'jobs_enqueued_total{backend="rq"} 1.0' in text
    assert 'outbox_oldest_age_seconds{backend="rq"} 0.' in text


async def test_it_starts_without_redis_and_becomes_ready_by_itself(
    broker_factory: BrokerFactory, redis_settings: Settings
) -> None:
    own = broker_factory.redis()
    own.stop()
    place = {"redis_host": own.host, "redis_port": own.port, "redis_password": own.password}
    async with running(redis_settings.model_copy(update=place)) as service:
        assert (await service.http.get("/livez")).status_code == 200
        assert (await service.http.get("/readyz")).status_code == 503
        refused = await service.http.post("/jobs", json=JOB)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["content-type"] == "application/problem+json"
        many = await service.http.post("/jobs/batch", json={"items": [JOB, JOB]})
        assert many.status_code == 503
        health = await service.http.get("/health")
        assert health.status_code == 503
        assert health.json() | {"message": ""} == {
            "status": "error",
            "service": "queue",
            "queue": "booking-queue",
            "redis": "disconnected",
            "broker": "disconnected",
            "message": "",
        }
        assert (await service.http.get("/metrics")).status_code == 200
        await asyncio.to_thread(own.start)
        assert (await service.http.get("/readyz")).status_code == 200
        assert (await service.http.get("/health")).json()["broker"] == "connected"
        assert (await service.http.post("/jobs", json=JOB)).json()["status"] == "queued"


@pytest.mark.parametrize(
    ("name", "bad", "good"), [("maxmemory-policy", "allkeys-lru", "noeviction"), ("appendonly", "no", "yes")]
)
async def test_a_redis_that_would_throw_jobs_away_is_not_ready(
    broker_factory: BrokerFactory, redis_settings: Settings, name: str, bad: str, good: str
) -> None:
    own = broker_factory.redis()
    place = {"redis_host": own.host, "redis_port": own.port, "redis_password": own.password}
    settings = redis_settings.model_copy(update=place)
    async with running(settings) as service, connect(settings) as redis:
        await redis.config_set(name, bad)
        assert (await service.http.get("/readyz")).status_code == 503
        with pytest.raises(LedgerUnavailable, match=f"{name} is {bad}.*Set it to {good}"):
            await check(redis)
        await redis.config_set(name, good)
        assert (await service.http.get("/readyz")).status_code == 200


class ClusterProcess(RedisProcess):
    def command(self) -> list[str]:
        return [*super().command(), "--cluster-enabled", "yes", "--cluster-port", str(free_port())]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    running = ClusterProcess(tmp_path_factory.mktemp("cluster"), "secret")
    try:
        running.start()
    except RedisMissing as error:
        missing(str(error))
    yield running
    running.kill()


@pytest.mark.parametrize("service", ["api", "queue", "stream", "kafka", "monitoring", "worker"])
def test_a_cluster_is_refused_at_start(service: str, cluster: RedisProcess) -> None:
    place = {"REDIS_HOST": cluster.host, "REDIS_PORT": str(cluster.port), "REDIS_PASSWORD": cluster.password}
    env = os.environ | place | {"PORT": str(free_port())}
    command = [sys.executable, "-m", f"{service}_service.app"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "Redis Cluster is not supported" in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("said", [{"redis_mode": "cluster"}, {"server_mode": "cluster"}])
async def test_redis_and_valkey_clusters_are_known_for_what_they_are(said: dict[str, str]) -> None:
    class Cluster:
        async def info(self) -> dict[str, str]:
            return said

    with pytest.raises(ClusterRefused, match="REDIS_SENTINELS"):
        await check(Cluster())  # type: ignore[arg-type]


async def test_a_publisher_that_opens_slowly_does_not_hold_the_service_up(
    redis_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend_service, "OPEN_SECONDS", 0.1)
    closed = asyncio.Event()

    class Late(MemoryPublisher):
        async def open(self) -> None:
            await asyncio.sleep(60)

        async def close(self) -> None:
            closed.set()

    def make(scripts: Scripts, settings: Settings) -> MemoryPublisher:
        return Late(Ledger(scripts), MemoryBroker(), Backend.RQ)

    async with live(app_of(redis_settings, MemoryBroker(), make)) as service:
        async with asyncio.timeout(10):
            assert (await service.http.get("/livez")).status_code == 200
    assert closed.is_set()
