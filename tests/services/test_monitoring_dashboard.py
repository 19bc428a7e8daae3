"""/dashboard, /history and /metrics: what is known, and how old it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from booking_queue.settings import Settings
from kafka_service.app import build as kafka_service
from queue_service.app import build as queue_service
from stream_service.app import build as stream_service
from tests.brokers import BrokerFactory
from tests.services.live_app import live
from tests.services.monitoring_world import ALL, STREAM_STATS, World, fresh, world_of


@pytest.fixture
async def world(redis_settings: Settings) -> AsyncIterator[World]:
    async with world_of(redis_settings) as found:
        yield found


async def test_it_has_the_members_of_the_older_dashboard(world: World) -> None:
    await world.start()
    body = await world.until("/dashboard", fresh(*ALL))
    assert body["timestamp"].endswith("Z")
    assert body["queues"] == {
        "rq": {"waiting": 1, "active": 2, "completed": 3, "failed": 4, "delayed": 5, "total": 15},
        "redisStreams": {"totalMessages": 7, "pendingMessages": 2, "dlqMessages": 1},
        "kafka": {"topic": "booking-events", "partitions": 3, "dlqPartitions": 1},
    }
    assert body["backlog"] == {"rq": 8, "redisStreams": 4, "kafka": 6}
    assert body["oldestAgeSeconds"]["rq"] == 1.5


async def test_the_real_services_say_what_it_expects(world: World, redis_settings: Settings) -> None:
    async with (
        live(queue_service(redis_settings)) as queue,
        live(stream_service(redis_settings)) as stream,
        live(kafka_service(redis_settings)) as kafka,  # whose broker is away
    ):
        job = {"type": "booking", "data": {"test": True}}
        for _ in range(3):
            await queue.http.post("/jobs", json=job)
        for _ in range(2):
            await stream.http.post("/messages", json=job)
        pending = await kafka.http.post("/messages", json=job)
        assert pending.json()["status"] == "pending"
        urls = {"queue_service_url": queue.url, "stream_service_url": stream.url, "kafka_service_url": kafka.url}
        await world.start(**urls)
        body = await world.until("/dashboard", fresh("rq", "redisStreams", "ledger"))
        assert body["queues"]["rq"]["waiting"] == 3
        assert body["queues"]["redisStreams"]["totalMessages"] == 2
        assert body["staleness"]["kafka"]["stale"]
        assert body["outbox"]["kafka"]["rows"] == 1
        assert body["backlog"]["kafka"] == 1, "known from the ledger while Kafka is away"
        assert body["metrics"]["jobs"]["all"]["accepted"] == 6


async def test_before_a_source_ever_answered_its_part_is_null(world: World) -> None:
    await world.start(kafka_service_url="http://127.0.0.1:1")
    body = await world.until("/dashboard", lambda body: body["staleness"]["kafka"]["error"])
    assert body["queues"]["kafka"] == {"topic": None, "partitions": None, "dlqPartitions": None}
    assert body["staleness"]["kafka"] | {"error": ""} == {"stale": True, "ageSeconds": None, "error": ""}
    assert {"alarm": "source_stale", "about": "kafka"}.items() <= body["alarms"][0].items()


async def test_a_source_that_dies_makes_its_part_stale_and_no_other(world: World) -> None:
    await world.start()
    await world.until("/dashboard", fresh(*ALL))
    world.stream.answers["/stats"] = 500
    body = await world.until("/dashboard", lambda body: body["staleness"]["redisStreams"]["stale"])
    assert body["queues"]["redisStreams"]["totalMessages"] == 7, "the last that is known"
    assert "500" in body["staleness"]["redisStreams"]["error"]
    age = body["staleness"]["redisStreams"]["ageSeconds"]
    await world.until("/dashboard", lambda body: body["staleness"]["redisStreams"]["ageSeconds"] > age + 0.2)
    assert fresh("rq", "kafka", "workers", "ledger")(await world.get("/dashboard"))
    world.stream.answers["/stats"] = STREAM_STATS
    await world.until("/dashboard", fresh("redisStreams"))


async def test_a_slow_source_costs_the_others_nothing(world: World) -> None:
    world.queue.delay = 2.5
    await world.start()
    body = await world.until("/dashboard", fresh("redisStreams", "kafka", "workers", "ledger"), seconds=5)
    assert body["staleness"]["rq"]["stale"]
    body = await world.until("/dashboard", lambda body: body["staleness"]["rq"]["error"])
    assert "within 2 s" in body["staleness"]["rq"]["error"]
    ages, until = [], time.monotonic() + 3
    while time.monotonic() < until:
        ages.append((await world.get("/dashboard"))["staleness"]["kafka"]["ageSeconds"])
        await asyncio.sleep(0.05)
    assert max(ages) < 1.5


@pytest.mark.parametrize("nonsense", [{"hello": 1}, [], "<html>", {"queue": 1, "stats": None}])
async def test_an_answer_that_makes_no_sense_makes_it_stale(world: World, nonsense: Any) -> None:
    world.queue.answers["/stats"] = nonsense
    await world.start()
    body = await world.until("/dashboard", lambda body: body["staleness"]["rq"]["error"])
    assert body["queues"]["rq"]["waiting"] is None


async def test_rates_and_the_error_rate_come_from_the_ledger(world: World) -> None:
    await world.count(rq_completed=100, rq_dead=10, rq_accepted=110)
    await world.start()
    await world.until("/dashboard", lambda body: body["rates"]["rq"]["completedPerSecond"] == 0)
    await world.count(rq_completed=130, rq_dead=20)
    body = await world.until("/dashboard", lambda body: body["rates"]["rq"]["completedPerSecond"])
    assert body["rates"]["rq"]["failedPerSecond"] == pytest.approx(
        body["rates"]["rq"]["completedPerSecond"] / 3, rel=0.01
    )
    assert body["metrics"]["jobs"]["rq"] == {
        "accepted": 110,
        "processed": 130,
        "failed": 20,
        "cancelled": 0,
        "errorRate": 0.25,
    }


async def test_a_redis_that_was_emptied_is_an_alarm(world: World) -> None:
    await world.count(rq_completed=100)
    await world.start()
    await world.until("/dashboard", lambda body: body["rates"]["rq"]["completedPerSecond"] == 0)
    await world.redis.delete(f"{world.settings.key_prefix}:counters")
    await world.until("/dashboard", lambda body: "ledger_emptied" in {alarm["alarm"] for alarm in body["alarms"]})


async def test_without_redis_it_starts_and_tells_so_and_recovers(
    broker_factory: BrokerFactory, redis_settings: Settings
) -> None:
    own = broker_factory.redis()
    own.stop()
    place = {"redis_host": own.host, "redis_port": own.port, "redis_password": own.password}
    async with world_of(redis_settings.model_copy(update=place)) as world:
        await world.start()
        body = await world.until("/dashboard", lambda body: body["staleness"]["ledger"]["error"])
        assert body["queues"]["rq"]["waiting"] == 1, "what does not need Redis is there"
        assert body["metrics"]["redis"]["opsPerSecond"] is None
        unknown = {"rq": None, "redisStreams": None, "kafka": None}
        told = [body["workers"][name] for name in ("count", "active", "running", "capacity")]
        assert told == [None, None, unknown, unknown], "nothing, not none"
        assert (await world.monitoring.http.get("/readyz")).status_code == 503
        assert (await world.monitoring.http.get("/metrics")).status_code == 200
        own.start()
        body = await world.until("/dashboard", fresh("ledger", "workers"))
        assert body["metrics"]["redis"]["memoryBytes"] > 0


async def test_a_browser_is_sent_to_the_pages(world: World) -> None:
    await world.start()
    browser = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    answer = await world.monitoring.http.get("/dashboard", headers=browser, follow_redirects=False)
    assert answer.status_code == 307
    assert answer.headers["location"] == world.settings.frontend_url + "/"
    by_name = {**browser, "host": "localhost:3004"}
    answer = await world.monitoring.http.get("/dashboard", headers=by_name, follow_redirects=False)
    assert answer.headers["location"] == world.settings.frontend_url.replace("127.0.0.1", "localhost") + "/"
    for accept in ("*/*", "application/json", "application/json, text/html;q=0.5"):
        answer = await world.monitoring.http.get("/dashboard", headers={"accept": accept})
        assert answer.status_code == 200


async def test_keys_are_shown_to_the_services(world: World) -> None:
    world.settings = world.settings.model_copy(update={"api_key": "open sesame"})
    await world.start()
    await world.until("/dashboard", fresh(*ALL))
    assert set(world.queue.keys) == {"open sesame"}
