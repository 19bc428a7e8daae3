"""/queue/… and /services/health: what somebody looks into when the dashboard makes them wonder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from booking_queue.clock import iso, now_ms
from booking_queue.settings import Settings
from kafka_service.app import build as kafka_service
from monitoring_service.services_health import ServicesHealth
from monitoring_service.sources import Presence
from monitoring_service.workers import Worker, Workers
from queue_service.app import build as queue_service
from stream_service.app import build as stream_service
from tests.services.live_app import live
from tests.services.monitoring_world import KAFKA_STATS, STREAM_STATS, World, world_of

JOB: dict[str, Any] = {"type": "booking", "data": {"test": True}}
STATES = ("waiting", "active", "completed", "failed", "delayed")


@pytest.fixture
async def world(redis_settings: Settings) -> AsyncIterator[World]:
    async with world_of(redis_settings) as found:
        yield found


async def test_the_first_jobs_in_each_state(world: World, redis_settings: Settings) -> None:
    async with live(queue_service(redis_settings)) as queue:
        ids = [(await queue.http.post("/jobs", json=JOB)).json()["jobId"] for _ in range(12)]
        late = (await queue.http.post("/jobs/delayed", json=JOB | {"delay": 60_000})).json()["jobId"]
        await world.start(queue_service_url=queue.url)
        body = await world.get("/queue/rq")
        assert [job["id"] for job in body["waiting"]] == ids[:10]
        assert body["waiting"][0] == {"id": ids[0], "name": "booking", "data": {"test": True}}
        (delayed,) = body["delayed"]
        assert delayed["id"] == late
        assert 50_000 < delayed["delay"] <= 60_000
        assert (body["active"], body["completed"], body["failed"]) == ([], [], [])
        assert body["stale"] is False
        older = await world.get("/queue/bullmq")
        assert older["waiting"] == body["waiting"]


async def test_each_state_has_its_own_member(world: World) -> None:
    job = {"id": "j", "name": "booking", "data": {}, "attemptsMade": 1, "progress": 30}
    more = {"returnvalue": {"status": "confirmed"}, "failedReason": "broken", "scheduledFor": iso(now_ms() + 60_000)}
    for state in STATES:
        world.queue.answers[f"/jobs/state/{state}"] = {"state": state, "jobs": [job | more]}
    await world.start()
    body = await world.get("/queue/rq")
    delay = body["delayed"][0]["delay"]
    plain = {"id": "j", "name": "booking", "data": {}}
    assert {state: body[state] for state in STATES} == {
        "waiting": [plain],
        "active": [plain | {"progress": 30}],
        "completed": [plain | {"returnvalue": {"status": "confirmed"}}],
        "failed": [plain | {"failedReason": "broken"}],
        "delayed": [plain | {"delay": delay}],
    }
    assert 0 < delay <= 60_000


async def test_the_newest_entries_and_those_in_hand(world: World, redis_settings: Settings) -> None:
    async with live(stream_service(redis_settings)) as stream:
        ids = [(await stream.http.post("/messages", json=JOB)).json()["messageId"] for _ in range(12)]
        name = f"{redis_settings.name_prefix}booking-stream"
        group = f"{redis_settings.name_prefix}booking-workers"
        await world.redis.xreadgroup(group, "w1", {name: ">"}, count=2)
        await world.start(stream_service_url=stream.url)
        body = await world.get("/queue/streams")
        assert body["stream"] == name
        assert body["totalMessages"] == 12
        assert [entry["messageId"] for entry in body["recentMessages"]] == ids[:1:-1]
        assert len(body["pendingMessages"]) == 2
        entry, consumer, idle, deliveries = body["pendingMessages"][0]
        assert (consumer, deliveries) == ("w1", 1)
        assert "-" in entry
        assert 0 <= idle < 60_000
        assert (body["group"], body["lag"]) == (group, 10)
        (reader,) = body["consumers"]
        assert (reader["name"], reader["pending"]) == ("w1", 2)
        assert 0 <= reader["idleMs"] < 60_000


async def test_partitions_with_their_offsets_and_lag(world: World) -> None:
    await world.start()
    body = await world.get("/queue/kafka")
    assert body["topic"] == "booking-events"
    assert body["lag"] == 6
    assert body["partitions"] == KAFKA_STATS["offsets"]


async def test_where_each_broker_is_for_who_asks_it_himself(world: World) -> None:
    world.settings = world.settings.model_copy(update={"kafka_broker": "kafka.example:9092"})
    await world.start()
    redis = f"{world.settings.redis_host}:{world.settings.redis_port}"
    found = {path: (await world.get(f"/queue/{path}"))["broker"] for path in ("rq", "streams", "kafka")}
    assert found == {"rq": redis, "streams": redis, "kafka": "kafka.example:9092"}


async def test_the_real_kafka_service_says_what_it_expects(settings: Settings) -> None:
    async with world_of(settings) as world, live(kafka_service(settings)) as kafka:
        await world.start(kafka_service_url=kafka.url)
        body = await world.until("/queue/kafka", lambda body: len(body["partitions"]) >= 3, seconds=60)
        assert (await kafka.http.post("/messages", json=JOB)).status_code == 201
        body = await world.until("/queue/kafka", lambda body: body["lag"] == 1, seconds=30)
        topic = f"{settings.name_prefix}booking-events"
        mine = [at for at in body["partitions"] if at["topic"] == topic]
        assert sum(at["endOffset"] for at in mine) == 1
        assert (body["topic"], len(mine), body["stale"]) == (topic, 3, False)
        board = await world.until("/dashboard", lambda body: not body["staleness"]["kafka"]["stale"])
        told = board["queues"]["kafka"]
        assert (told["topic"], told["partitions"]) == (topic, 3)
        assert told["dlqPartitions"] >= 1


async def test_an_answer_serves_for_a_second_and_stays_when_the_source_is_gone(world: World) -> None:
    world.stream.answers |= {
        "/messages": {"stream": "s", "count": 0, "messages": []},
        "/pending": {"pendingMessages": []},
        "/consumers": {"consumers": []},
    }
    await world.start()
    started = time.monotonic()
    await asyncio.gather(*(world.get("/queue/streams") for _ in range(20)))
    for _ in range(20):
        await world.get("/queue/streams")
    assert world.stream.asked.count("/messages") <= 2 + (time.monotonic() - started)
    world.stream.answers["/messages"] = 500
    body = await world.until("/queue/streams", lambda body: body["stale"])
    assert body["totalMessages"] == STREAM_STATS["stats"]["totalMessages"]
    assert body["ageSeconds"] > 0
    assert "500" in body["error"]


@pytest.mark.parametrize("path", ["rq", "bullmq", "streams", "kafka"])
async def test_a_source_that_was_never_there_gives_an_empty_answer(world: World, path: str) -> None:
    gone = "http://127.0.0.1:1"
    await world.start(queue_service_url=gone, stream_service_url=gone, kafka_service_url=gone)
    body = await world.get(f"/queue/{path}")
    assert body["stale"] is True
    assert body["ageSeconds"] is None
    assert body["error"]
    assert [] in body.values()


def by_name(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {service["name"]: service for service in body["services"]}


async def test_the_health_of_every_service_and_worker(world: World) -> None:
    await world.worker("w1")
    world.kafka.answers["/health"] = 503
    world.settings = world.settings.model_copy(update={"api_key": "open sesame"})
    await world.start(api_url="http://127.0.0.1:1")
    body = await world.get("/services/health")
    found = by_name(body)
    names = {"api", "queue", "stream", "kafka-service", "monitoring", "providers", "frontend", "worker w1"}
    assert found.keys() == names
    assert found["queue"] == {
        "name": "queue",
        "url": world.settings.queue_service_url,
        "status": "healthy",
        "data": {"status": "ok", "service": "queue"},
    }
    assert {name for name, one in found.items() if one["status"] == "unhealthy"} == {"api", "kafka-service"}
    assert "503" in found["kafka-service"]["error"]
    assert "data" not in found["api"]
    assert set(world.queue.keys) == {"open sesame"}
    assert set(world.frontend.keys) == {None}, "the pages need no key"


async def test_what_hangs_costs_two_seconds_at_most(world: World) -> None:
    await world.start()
    world.api.delay = world.queue.delay = world.providers.delay = 4
    found = by_name(await world.get("/services/health"))
    for name in ("api", "queue", "providers"):
        assert found[name]["error"] == "no answer within 2 s"
    assert found["stream"]["status"] == "healthy"


async def test_an_old_answer_on_health_says_that_it_is_old(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.start()
    body = await world.get("/services/health")
    assert (body["stale"], body["error"]) == (False, None)

    async def hang(self: ServicesHealth, workers: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(ServicesHealth, "read", hang)
    old = await world.until("/services/health", lambda body: body["stale"])
    assert old["error"] == "no answer within 5.5 s"
    assert old["ageSeconds"] > 0
    assert (old["services"], old["timestamp"]) == (body["services"], body["timestamp"])


async def test_a_worker_that_vanished_is_unhealthy_and_one_that_left_is_gone(world: World) -> None:
    await world.worker("w1")
    await world.worker("w2")
    await world.start()
    prefix = world.settings.key_prefix
    await world.redis.delete(f"{prefix}:worker:w1", f"{prefix}:worker:w2")
    await world.redis.zrem(f"{prefix}:workers", "w2")
    body = await world.until("/services/health", lambda body: by_name(body).get("worker w1", {}).get("error"))
    assert "no heartbeat" in by_name(body)["worker w1"]["error"]
    assert "worker w2" not in by_name(body)


async def test_connections_are_kept_to_workers_that_are_there_alone(world: World) -> None:
    await world.start()
    health = ServicesHealth(world.settings)
    gone, stays = (
        Worker(Presence(id="w", host="h", pid=1, address=f"http://127.0.0.1:{port}", started_at=""), None, None)
        for port in (1, 2)
    )
    await health.read(Workers([gone, stays], {}))
    await health.read(Workers([stays], {}))
    workers = {gone.presence.address, stays.presence.address}
    assert health._servers.keys() & workers == {stays.presence.address}
    assert health._servers.keys() - workers, "those of the services"
    health.close()


async def test_many_who_look_at_once_ask_each_service_once(world: World) -> None:
    await world.start()
    await asyncio.gather(*(world.get("/services/health") for _ in range(30)))
    assert world.api.asked.count("/health") <= 2


async def test_every_route_has_an_operation_of_its_own(world: World) -> None:
    await world.start()
    paths = (await world.get("/openapi.json"))["paths"]
    operations = [operation["operationId"] for path in paths.values() for operation in path.values()]
    assert len(operations) == len(set(operations))
    assert {"/dashboard", "/history", "/queue/rq", "/queue/bullmq", "/queue/streams", "/queue/kafka"} <= paths.keys()
