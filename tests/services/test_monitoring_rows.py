"""Everything that monitoring must show, with all sources there and with each of them away in turn."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from booking_queue.settings import Settings
from tests.brokers import BrokerFactory
from tests.services.monitoring_world import ALL, Fake, World, fresh, world_of

PAGES = ("/dashboard", "/history", "/queue/rq", "/queue/bullmq", "/queue/streams", "/queue/kafka", "/services/health")
LANES = ("rq", "redisStreams", "kafka")
GONE = "http://127.0.0.1:1"
AWAY = {
    "queue": ("queue_service_url", {"rq"}, {"/queue/rq", "/queue/bullmq"}),
    "stream": ("stream_service_url", {"redisStreams"}, {"/queue/streams"}),
    "kafka-service": ("kafka_service_url", {"kafka"}, {"/queue/kafka"}),
    "api": ("api_url", set(), set()),
    "providers": ("providers_url", set(), set()),
    "frontend": ("frontend_url", set(), set()),
}
WORKER = {"memoryBytes", "cpuPercent", "lastHeartbeatSeconds", "partitions", "jobs", "running", "idle"}


@pytest.fixture
async def world(redis_settings: Settings) -> AsyncIterator[World]:
    async with world_of(redis_settings) as found:
        _answer_looks(found)
        yield found


def _answer_looks(world: World) -> None:
    for state in ("waiting", "active", "completed", "failed", "delayed"):
        world.queue.answers[f"/jobs/state/{state}"] = {"state": state, "jobs": []}
    world.stream.answers["/messages"] = {"stream": "booking-stream", "count": 0, "messages": []}
    world.stream.answers["/pending"] = {"pendingMessages": []}
    world.stream.answers["/consumers"] = {"consumers": []}


async def pages(world: World) -> dict[str, Any]:
    """All of them, none hangs, none is an error."""
    found = {}
    for path in PAGES:
        started = time.monotonic()
        found[path] = await world.get(path)
        assert time.monotonic() - started < 10, path
    assert (await world.monitoring.http.get("/metrics")).status_code == 200
    return found


def whole(board: dict[str, Any]) -> None:
    """Every member is there, whatever is known."""
    queues = board["queues"]
    assert queues["rq"].keys() == {"waiting", "active", "completed", "failed", "delayed", "total"}
    assert queues["redisStreams"].keys() == {"totalMessages", "pendingMessages", "dlqMessages"}
    assert queues["kafka"].keys() == {"topic", "partitions", "dlqPartitions"}
    assert {"timestamp", "rates", "latency", "oldestAgeSeconds", "workers", "staleness", "alarms"} <= board.keys()
    assert {"jobs", "averageProcessingMs", "queueDepth", "sla", "redis", "machine"} <= board["metrics"].keys()
    assert {"opsPerSecond", "memoryBytes", "latencyMs"} <= board["metrics"]["redis"].keys()
    assert {"p50", "p95", "p99"} <= board["latency"]["rq"]["wait"].keys()
    assert {"utilisation", "list", "desired"} <= board["workers"].keys()
    assert "errorRate" in board["metrics"]["jobs"]["all"]


async def test_with_everything_there(world: World) -> None:
    await world.worker("w1")
    await world.start()
    await world.until("/dashboard", fresh(*ALL))
    found = await pages(world)
    whole(found["/dashboard"])
    assert not any(found[path]["stale"] for path in PAGES if path.startswith(("/queue/", "/services/")))
    assert found["/dashboard"]["lag"] == {"rq": None, "redisStreams": 2, "kafka": 6}
    assert {one["status"] for one in found["/services/health"]["services"]} == {"healthy"}
    (worker,) = found["/dashboard"]["workers"]["list"]
    assert worker.keys() >= WORKER
    assert worker["lastHeartbeatSeconds"] < 30


@pytest.mark.parametrize("name", AWAY)
async def test_with_a_service_away(world: World, name: str) -> None:
    setting, sources, stale_pages = AWAY[name]
    await world.worker("w1")
    await world.start(**{setting: GONE})
    await world.until("/dashboard", fresh(*(source for source in ALL if source not in sources)))
    found = await pages(world)
    whole(found["/dashboard"])
    assert {source for source, seen in found["/dashboard"]["staleness"].items() if seen["stale"]} == sources
    assert {path for path in PAGES if found[path].get("stale")} == stale_pages
    health = {one["name"]: one for one in found["/services/health"]["services"]}
    assert {service for service, one in health.items() if one["status"] == "unhealthy"} == {name}
    assert health[name]["error"]


async def test_with_the_worker_away(world: World) -> None:
    await world.beat("w1", GONE)
    await world.start()
    await world.until("/dashboard", lambda body: fresh(*ALL)(body) and body["workers"]["count"] == 1)
    found = await pages(world)
    whole(found["/dashboard"])
    (worker,) = found["/dashboard"]["workers"]["list"]
    assert (worker["memoryBytes"], worker["jobs"]) == (None, None) and worker["error"]
    health = {one["name"]: one["status"] for one in found["/services/health"]["services"]}
    assert {name for name, status in health.items() if status == "unhealthy"} == {"worker w1"}


async def test_with_redis_away(broker_factory: BrokerFactory, redis_settings: Settings) -> None:
    own = broker_factory.redis()
    place = {"redis_host": own.host, "redis_port": own.port, "redis_password": own.password}
    async with world_of(redis_settings.model_copy(update=place)) as world:
        _answer_looks(world)
        await world.worker("w1")
        await world.start()
        await world.until("/dashboard", fresh(*ALL))
        own.kill()
        await world.until("/dashboard", lambda body: body["staleness"]["ledger"]["stale"])
        found = await pages(world)
        whole(found["/dashboard"])
        assert fresh("rq", "redisStreams", "kafka")(found["/dashboard"])
        assert found["/dashboard"]["metrics"]["redis"]["memoryBytes"], "the last that is known"
        await _nobody_knows_what_waits(world)
        await _prometheus_is_told_nothing_old(world)


async def _nobody_knows_what_waits(world: World) -> None:
    """How much of the backlog runs only the workers could tell."""
    body = await world.until("/dashboard", lambda body: body["staleness"]["workers"]["stale"])
    assert (body["backlog"]["rq"], body["waiting"]) == (8, dict.fromkeys(LANES))
    await world.until("/history", lambda body: all(body["series"][f"{lane}.waiting"][-1] is None for lane in LANES))


async def _prometheus_is_told_nothing_old(world: World) -> None:
    """Of Redis and the workers now, of the brokers once their services are away too."""
    await world.until("/dashboard", lambda body: body["staleness"]["workers"]["stale"])
    told = await world.told()
    assert {name for name, value in told.items() if value == "NaN"} >= {
        "workers_alive",
        "workers_desired",
        "redis_refuses_writes",
        "redis_ops_per_second",
        "redis_memory_used_bytes",
        "redis_ping_seconds",
    }
    of_redis = {"jobs_in_state", "outbox_legs", "outbox_oldest_age_seconds", "worker_slots", "worker_slots_used"}
    of_brokers = {"rq_jobs", "redis_stream_length", "redis_stream_group_lag", "redis_stream_group_messages_pending"}
    of_brokers |= {"redis_stream_alarms", "kafka_consumergroup_lag", "queue_oldest_age_seconds"}
    assert not told.keys() & of_redis
    assert told.keys() >= of_brokers
    for fake in (world.queue, world.stream, world.kafka):
        fake.answers["/stats"] = 500
    await world.until("/dashboard", lambda body: all(one["stale"] for one in body["staleness"].values()))
    told = await world.told()
    assert not told.keys() & (of_redis | of_brokers)
    assert told["rq_workers"] == "NaN"
    assert told["source_up"] == "0.0"
    await world.until("/history", _draws_no_lane)


def _draws_no_lane(body: dict[str, Any]) -> bool:
    names = [f"{lane}.{name}" for lane in LANES for name in ("waiting", "backlog", "running", "oldestAgeSeconds")]
    return all(body["series"][name][-1] is None for name in names)


async def test_what_a_worker_runs_and_why_one_gets_nothing(world: World) -> None:
    job = {"jobId": "j1", "backend": "kafka", "type": "booking", "attempt": 1, "seconds": 2.5}
    await world.worker("w1", jobs=[job], partitions=["booking-events/0"])
    await world.worker("w2", partitions=[])
    await world.worker("w3")
    await world.start()
    body = await world.until("/dashboard", lambda body: fresh(*ALL)(body) and body["workers"]["count"] == 3)
    first, second, third = body["workers"]["list"]
    assert (first["jobs"], first["partitions"], first["idle"]) == ([job], ["booking-events/0"], None)
    assert second["idle"].startswith("Kafka gives each partition to one consumer: 2 consumers share 1 partitions")
    assert (third["partitions"], third["idle"]) == (None, None)


async def test_a_replica_is_found_without_configuration(world: World) -> None:
    await world.start()
    await world.until("/dashboard", fresh("workers"))
    late: Fake = await world.worker("late")
    body = await world.until("/dashboard", lambda body: body["workers"]["count"] == 1)
    assert body["workers"]["list"][0]["id"] == "late"
    assert "/stats" in late.asked


async def test_how_many_workers_the_work_asks_for(world: World) -> None:
    await world.worker("w1", parked={"rq": 2})  # four slots, and half a second a job
    world.queue.answers["/stats"] = world.queue.answers["/stats"] | {"backlog": 60_000}
    await world.start()
    body = await world.until("/dashboard", lambda body: fresh(*ALL)(body) and body["workers"]["desired"]["count"])
    desired = body["workers"]["desired"]
    # R = (0 + 60000 / 60) * 0.5 = 500 jobs at a time; (500 + 22.4) / 4 slots
    assert desired["byBackend"] == {"rq": 131, "redisStreams": None, "kafka": None}
    assert desired["count"] == 131
    assert "workers_desired 131.0" in (await world.monitoring.http.get("/metrics")).text
    await world.redis.hset(f"{world.settings.key_prefix}:limits", "rq.paused", "1")
    await world.until("/dashboard", lambda body: body["workers"]["desired"]["count"] == 1)
    assert (await world.get("/dashboard"))["waiting"]["rq"] == 59_995, "it waits, but more workers would do nothing"


async def test_what_a_silent_worker_has_in_hand_does_not_wait(world: World) -> None:
    await world.worker("w1", running={"rq": 1})
    await world.beat("w2", GONE, running={"rq": 3}, parked={"rq": 2})
    await world.start()
    body = await world.until("/dashboard", lambda body: fresh(*ALL)(body) and body["workers"]["count"] == 2)
    assert (body["backlog"]["rq"], body["waiting"]["rq"]) == (8, 2)


async def test_what_is_before_its_time_neither_waits_nor_asks_for_workers(world: World) -> None:
    """On Kafka a delayed job is in the outbox, a retried one in a topic that counts as backlog."""
    await world.worker("w1", running={"rq": 1, "redisStreams": 1, "kafka": 1})
    delayed = {"backlog": 60_003, "scheduled": 60_000}
    for fake, said in ((world.queue, delayed), (world.stream, delayed), (world.kafka, {"backlog": 1_003})):
        fake.answers["/stats"] = fake.answers["/stats"] | said
    for lane in LANES:
        await world.leave(lane, jobs=3, later=60_000)
    await world.start()
    body = await world.until("/dashboard", lambda body: fresh(*ALL)(body) and body["workers"]["desired"]["count"])
    assert body["waiting"] == {"rq": 2, "redisStreams": 2, "kafka": 2}
    assert body["workers"]["desired"]["count"] == 1

    def drawn(body: dict[str, Any]) -> bool:
        last = {name: column[-1] for name, column in body["series"].items()}
        return all((last.get(f"{lane}.waiting"), last.get(f"{lane}.backlog")) == (2, 60_003) for lane in LANES)

    await world.until("/history", drawn)
    text = (await world.monitoring.http.get("/metrics")).text
    for lane in LANES:
        assert f'jobs_in_state{{backend="{lane}",state="waiting"}} 2.0' in text
    world.kafka.answers["/stats"] = 500
    body = await world.until("/dashboard", lambda body: body["staleness"]["kafka"]["stale"])
    assert body["waiting"]["kafka"] == 2, "known from the ledger"
