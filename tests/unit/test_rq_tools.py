"""RQ's own tools show our work, and what we count costs RQ nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from rq import Worker

from booking_queue.backends import rq_queue
from booking_queue.settings import Settings
from tests.contract.worker import eventually
from tests.unit.rq_side import Both, both_of


@pytest.fixture
async def both(redis_settings: Settings) -> AsyncIterator[Both]:
    async with both_of(redis_settings) as both:
        yield both


async def test_rq_info_shows_queues_jobs_and_workers(both: Both) -> None:
    worker = await both.lane.worker(slots=1)
    done = await both.lane.send()
    await both.lane.reach(done, "completed")
    dead = await both.lane.send(fails=9, attempts=1)
    await both.lane.reach(dead, "dead")
    running = await both.lane.send("gated")
    await both.lane.reach(running, "active")
    await both.lane.send()
    await both.lane.send(priority="low")

    async def counted() -> bool:
        (found,) = Worker.all(connection=both.rq.redis, queue=both.rq.queue())
        return (found.successful_job_count, found.failed_job_count, found.get_state()) == (1, 1, "busy")

    await eventually(counted, "the worker's record to be brought up to date")
    lines = (await asyncio.to_thread(both.rq.cli, "info", "--raw")).splitlines()
    assert f"queue {both.rq.name()} 1, 1 executing, 1 finished, 1 failed" in lines
    assert f"queue {both.rq.name('-low')} 1, 0 executing, 0 finished, 0 failed" in lines
    (mine,) = [line for line in lines if line.startswith(f"worker {both.lane.settings.name_prefix}w1 ")]
    assert " busy " in mine and "jobs: 1 finished, 1 failed" in mine
    both.lane.journal.gate.set()
    await worker.leave()
    assert Worker.all(connection=both.rq.redis, queue=both.rq.queue()) == []
    assert not both.rq.redis.keys(f"rq:worker:{both.lane.settings.name_prefix}*")


async def test_a_vanished_workers_name_goes_with_its_record(both: Both) -> None:
    first = await both.lane.worker()
    key = f"rq:worker:{both.lane.settings.name_prefix}w1"

    async def known(name: str) -> bool:
        return bool(both.rq.redis.sismember(f"rq:workers:{both.rq.name()}", name))

    await eventually(lambda: known(key), "the worker's name")
    await first.vanish()
    assert 0 < int(both.rq.redis.ttl(key)) < 120
    both.rq.redis.delete(key)  # as when that has passed
    await both.lane.worker()

    async def forgotten() -> bool:
        return not await known(key)

    await eventually(forgotten, "the name to be forgotten")


async def test_stats_look_and_touch_nothing(both: Both) -> None:
    for state, key in {"completed": "finished", "failed": "failed"}.items():
        both.rq.redis.zadd(f"rq:{key}:{both.rq.name()}", {"expired": 1000.0, "kept": 9e9})
        stats = await both.lane.publisher.stats()
        assert stats["stats"][state] == 1
        assert both.rq.redis.zcard(f"rq:{key}:{both.rq.name()}") == 2
    both.rq.redis.zadd(f"rq:wip:{both.rq.name()}", {"gone:execution": 1000.0})
    assert (await both.lane.publisher.stats())["stats"]["active"] == 1
    assert both.rq.redis.zcard(f"rq:wip:{both.rq.name()}") == 1


async def test_stats_count_by_level_and_tell_the_age_of_the_oldest(both: Both) -> None:
    first = await both.lane.send()
    await both.lane.send(priority="high")
    await both.lane.send(delay=60_000, priority="low")
    both.rq.redis.hset(f"rq:job:{first}", "enqueued_at", "2020-01-01T00:00:00.000000Z")
    stats = await both.lane.publisher.stats()
    assert stats["queue"] == both.rq.name()
    assert stats["stats"] == {"waiting": 2, "active": 0, "completed": 0, "failed": 0, "delayed": 1, "total": 3}
    assert (stats["backlog"], stats["scheduled"]) == (3, 1)
    assert stats["levels"]["high"]["waiting"] == stats["levels"]["normal"]["waiting"] == 1
    assert stats["levels"]["low"]["delayed"] == 1
    assert stats["oldestAgeSeconds"] == stats["levels"]["normal"]["oldestAgeSeconds"] > 100_000_000
    assert stats["levels"]["high"]["oldestAgeSeconds"] < 60
    both.rq.redis.zadd(f"rq:scheduled:{both.rq.name('-low')}", {"overdue": 1.0})
    stats = await both.lane.publisher.stats()
    assert (stats["backlog"], stats["scheduled"]) == (4, 1)


async def test_expired_entries_are_swept(both: Both) -> None:
    keys = [f"rq:{name}:{both.rq.name()}" for name in ("finished", "failed")]
    for key in keys:
        both.rq.redis.zadd(key, {"expired": 1000.0, "kept": 9e9})
    both.rq.redis.zadd(f"rq:canceled:{both.rq.name()}", {"expired": 1000.0})
    await both.lane.worker()

    async def swept() -> bool:
        left = [both.rq.redis.zrange(key, 0, -1) for key in keys]
        return left == [[b"kept"], [b"kept"]] and not both.rq.redis.exists(f"rq:canceled:{both.rq.name()}")

    await eventually(swept, "the registries to be swept")


async def test_a_cancelled_job_is_taken_out_of_the_scheduled_ones(both: Both) -> None:
    """The gateway may have found the service away. In a month its record would be gone: it would be a dead letter."""
    cancelled, kept = [await both.lane.send(delay=30 * 86_400_000) for _ in range(2)]
    await both.lane.redis.hset(f"{both.lane.settings.key_prefix}:job:{cancelled}", "rq.state", "cancelled")
    await both.lane.worker()

    async def pruned() -> bool:
        return bool(both.rq.queue().scheduled_job_registry.get_job_ids(cleanup=False) == [kept])

    await eventually(pruned, "the cancelled job to be taken out")
    assert both.rq.job(cancelled).is_canceled and both.rq.ttl(cancelled) > 0


async def test_lists_by_state_run_over_the_levels(both: Both) -> None:
    low = [await both.lane.send(priority="low") for _ in range(3)]
    high = [await both.lane.send(priority="high") for _ in range(3)]
    assert isinstance(both.lane.publisher, rq_queue.RqPublisher)

    async def ids(start: int, end: int) -> list[str]:
        assert isinstance(both.lane.publisher, rq_queue.RqPublisher)
        return [job["id"] for job in await both.lane.publisher.jobs("waiting", start, end)]

    assert await ids(0, 9) == high + low
    assert await ids(2, 3) == [high[2], low[0]]
    assert await ids(4, 4) == [low[1]]
    assert await ids(6, 9) == []
    await both.lane.worker(slots=1)
    for job_id in low + high:
        await both.lane.reach(job_id, "completed")
    rows = await both.lane.publisher.jobs("completed", 0, 1)
    assert [row["id"] for row in rows] == [high[2], high[1]]
    assert rows[0]["data"] == {"n": 1} and rows[0]["name"] == "noop"
    assert rows[0]["progress"] == 100 and rows[0]["attemptsMade"] == 1
    assert rows[0]["returnvalue"] == {"by": "w1", "attempt": 1}
