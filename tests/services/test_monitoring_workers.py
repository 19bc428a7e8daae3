"""What the monitoring service knows of workers, and what it tells Prometheus."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from booking_queue.ledger.connection import connect
from booking_queue.ledger.epoch import Epoch
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from monitoring_service import snapshot
from monitoring_service.board import Board
from monitoring_service.ledger_reader import LedgerReader, Roll
from monitoring_service.workers import WorkersReader
from tests.services.monitoring_world import ALL, KAFKA_STATS, World, fresh, worker_stats, world_of


@pytest.fixture
async def world(redis_settings: Settings) -> AsyncIterator[World]:
    async with world_of(redis_settings) as found:
        yield found


async def test_workers_are_found_by_their_heartbeat(world: World) -> None:
    await world.worker("w1")
    await world.worker("w2")
    await world.start()
    body = await world.until("/dashboard", lambda body: body["metrics"]["averageProcessingMs"])
    assert (body["workers"]["count"], body["workers"]["active"]) == (2, 2)
    assert body["workers"]["running"]["rq"] == 6
    assert body["workers"]["utilisation"]["rq"] == 0.75
    assert [worker["id"] for worker in body["workers"]["list"]] == ["w1", "w2"]
    assert body["workers"]["list"][0]["memoryBytes"] == 50_000_000
    assert body["metrics"]["averageProcessingMs"] == 500


async def test_what_was_in_time_is_that_of_the_last_minutes_and_nothing_while_nothing_was_done(world: World) -> None:
    fake = await world.worker("w1")  # which did four before anybody looked on, three of them in time
    await world.start()
    body = await world.until("/dashboard", lambda body: body["metrics"]["averageProcessingMs"])
    assert body["metrics"]["sla"] == {"slaSeconds": 60, "overSeconds": 300, "types": {}}
    assert "sla_in_time_share" not in await world.told()
    late = {"booking": {"inTime": 4, "total": 14}}
    fake.answers["/stats"] = worker_stats("w1", completed=14) | {"sla": late}
    body = await world.until("/dashboard", lambda body: body["metrics"]["sla"]["types"])
    assert body["metrics"]["sla"]["types"] == {"booking": {"inTime": 1, "total": 10, "share": 0.1}}
    assert (await world.told())["sla_in_time_share"] == "0.1"


async def test_latency_is_that_of_the_last_minute_over_all_workers(world: World) -> None:
    first, second = await world.worker("w1"), await world.worker("w2")
    await world.start()
    await world.until("/dashboard", lambda body: body["metrics"]["averageProcessingMs"])
    for fake in (first, second):
        fake.answers["/stats"] = worker_stats("w1" if fake is first else "w2", completed=14)
    body = await world.until("/dashboard", lambda body: body["latency"]["rq"]["run"]["count"] == 20)
    assert body["latency"]["rq"]["run"] == {"count": 20, "mean": 500, "p50": 550, "p95": 955, "p99": 991}
    assert body["latency"]["kafka"]["wait"]["p95"] is None


async def test_a_worker_that_is_silent_or_lost_is_told_of(world: World) -> None:
    silent = await world.worker("silent")
    await world.worker("lost")
    await world.start()
    await world.until("/dashboard", lambda body: body["workers"]["count"] == 2)
    silent.answers["/stats"] = 500
    await world.redis.delete(f"{world.settings.key_prefix}:worker:lost")
    body = await world.until("/dashboard", lambda body: body["workers"]["lost"] and body["workers"]["list"][0]["error"])
    assert [worker["id"] for worker in body["workers"]["list"]] == ["silent"]
    assert [worker["id"] for worker in body["workers"]["lost"]] == ["lost"]
    assert {("worker_lost", "lost"), ("worker_silent", "silent")} <= {(a["alarm"], a["about"]) for a in body["alarms"]}
    assert not body["staleness"]["workers"]["stale"]


async def test_a_worker_that_hangs_makes_the_others_not_stale_while_redis_is_slow(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = LedgerReader.roll

    async def slow(self: LedgerReader) -> Roll:
        await asyncio.sleep(0.6)
        return await read(self)

    monkeypatch.setattr(LedgerReader, "roll", slow)
    (await world.worker("hangs")).delay = 4
    await world.worker("well")
    await world.start()
    body = await world.until("/dashboard", lambda body: fresh("workers")(body) and body["workers"]["count"] == 2)
    errors = {worker["id"]: worker["error"] for worker in body["workers"]["list"]}
    assert "did not answer within 1.5 s" in errors["hangs"] and errors["well"] is None


async def test_connections_are_kept_to_who_is_on_the_roll_alone(world: World) -> None:
    reader = WorkersReader(
        LedgerReader(world.redis, world.settings, Epoch(world.redis, world.settings, Metrics())), world.settings
    )
    for name in ("gone", "stays"):
        await world.worker(name)
    gone, stays = (worker.presence for worker in (await reader.read()).alive)
    await world.redis.zrem(f"{world.settings.key_prefix}:workers", gone.id)
    await reader.read()
    assert list(reader._clients) == [stays.address]
    await reader.close()
    assert not reader._clients


async def test_a_name_without_an_address_yet_is_no_worker(world: World) -> None:
    await world.redis.set(f"{world.settings.key_prefix}:worker:starting", b"5f2c")
    await world.redis.zadd(f"{world.settings.key_prefix}:workers", {"starting": 9e12})
    await world.start()
    body = await world.until("/dashboard", fresh("workers"))
    assert body["workers"]["count"] == 0
    assert "no_worker" in {alarm["alarm"] for alarm in body["alarms"]}


async def test_prometheus_has_the_familiar_names(world: World) -> None:
    worker = await world.worker("w1")
    await world.count(rq_completed=7, redisStreams_dead=2, kafka_accepted=9)
    await world.start()
    await world.until("/dashboard", lambda body: fresh(*ALL)(body) and body["metrics"]["averageProcessingMs"])
    worker.answers["/stats"] = worker_stats("w1", completed=8)
    await world.until("/dashboard", lambda body: body["latency"]["rq"]["run"]["count"])
    text = (await world.monitoring.http.get("/metrics")).text
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found[("jobs_finished_total", ("backend", "rq"), ("outcome", "completed"))] == 7
    assert found[("jobs_finished_total", ("backend", "redisStreams"), ("outcome", "dead"))] == 2
    assert found[("jobs_accepted_total", ("backend", "kafka"))] == 9
    assert found[("job_run_seconds_bucket", ("backend", "rq"), ("le", "1.0"))] == 4
    assert found[("job_run_seconds_sum", ("backend", "rq"))] == 2
    assert found[("rq_jobs", ("queue", "booking-queue"), ("status", "delayed"))] == 5
    group, stream = ("group", "booking-workers"), ("stream", "booking-stream-high")
    assert found[("redis_stream_group_lag", group, stream)] == 2
    assert found[("redis_stream_group_messages_pending", group, stream)] == 2
    kafka = (("consumergroup", "booking-workers"), ("partition", "0"), ("topic", "booking-events"))
    assert found[("kafka_consumergroup_lag", *kafka)] == 6
    assert found[("queue_oldest_age_seconds", ("backend", "rq"))] == 1.5
    assert found[("worker_slots_used", ("backend", "rq"))] == 3
    assert found[("source_up", ("source", "kafka"))] == 1


async def test_prometheus_is_not_told_of_a_topic_that_is_gone(world: World) -> None:
    await world.start()
    await world.until("/dashboard", fresh("kafka"))
    assert 'topic="booking-events"' in (await world.monitoring.http.get("/metrics")).text
    renamed = KAFKA_STATS["offsets"][0] | {"topic": "another"}
    world.kafka.answers["/stats"] = KAFKA_STATS | {"offsets": [renamed], "lag": 7}
    await world.until("/dashboard", lambda body: body["lag"]["kafka"] == 7)
    text = (await world.monitoring.http.get("/metrics")).text
    assert 'topic="another"' in text
    assert 'topic="booking-events"' not in text


async def test_whoever_looks_spoils_nobodys_figure(redis_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """How busy the processor is, is measured since the last time it was: so at each tick, not at each look."""
    redis = connect(redis_settings)
    board = Board(redis_settings, redis, Metrics())
    asked = itertools.count(1)
    monkeypatch.setattr(psutil, "cpu_percent", lambda: float(next(asked)))
    for tick in (1.0, 2.0):
        board.tick()
        for _ in range(3):
            assert snapshot.dashboard(board)["metrics"]["machine"]["cpuPercent"] == tick
    await board.close()
    await redis.aclose()
