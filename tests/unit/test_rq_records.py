"""RQ's own library reads what we write: its records, registries, results and tools."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rq import Worker
from rq.exceptions import NoSuchJobError
from rq.job import JobStatus
from rq.registry import StartedJobRegistry
from rq.results import Result

from booking_queue.backends import rq_queue
from booking_queue.ledger.script import Scripts
from booking_queue.settings import Settings
from tests.contract.lanes import eventually
from tests.unit.rq_side import FUNCTION, Both, both_of


@pytest.fixture
async def both(redis_settings: Settings) -> AsyncIterator[Both]:
    async with both_of(redis_settings) as both:
        yield both


async def test_a_published_job_is_one_of_rqs_own(both: Both) -> None:
    job_id = await both.lane.accept(data={"text": 'a"b\\c é €', "list": [], "n": 12345678901234567890})
    await both.lane.publish(job_id)
    job = both.rq.job(job_id)
    assert job.func_name == FUNCTION
    assert job.args == ["noop", {"text": 'a"b\\c é €', "list": [], "n": 12345678901234567890}]
    assert job.kwargs == {}
    assert job.get_status() is JobStatus.QUEUED
    assert job.origin == both.rq.name()
    assert job.meta["generation"] == 1
    assert job.retries_left and job.retry_intervals
    assert both.rq.queue().job_ids == [job_id]
    assert job.get_position() == 0
    record = await both.lane.ledger.get(job_id)
    assert record
    assert job.created_at == datetime.fromtimestamp(record.created / 1000, UTC)
    assert job.enqueued_at and job.enqueued_at >= job.created_at
    assert record.legs[both.lane.backend].receipt == {"jobId": job_id, "queue": both.rq.name()}


async def test_each_level_has_its_queue(both: Both) -> None:
    for level, suffix in {"critical": "-critical", "high": "-high", "normal": "", "low": "-low"}.items():
        job_id = await both.lane.send(priority=level)
        assert both.rq.queue(suffix).job_ids == [job_id]
        assert both.rq.queue(suffix).key.encode() in both.rq.redis.smembers("rq:queues")


async def test_dates_are_rqs_text_for_any_day(redis_settings: Settings, both: Both) -> None:
    probe = "function ops.probe(a) return { rq.stamp(tonumber(a[1])) } end"
    scripts = Scripts(both.lane.redis, redis_settings, extra=rq_queue.LUA + "\n" + probe)
    days = [
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=97 * n, milliseconds=86_399_999 * (n % 2)) for n in range(250)
    ]
    edges = [
        "2000-02-29T12:00:00.001Z",
        "2024-02-29T23:59:59.999Z",
        "2024-12-31T00:00:00.000Z",
        "2100-03-01T00:00:00.000Z",
    ]
    days += [datetime.fromisoformat(edge) for edge in edges]
    for day in days:
        (text,) = await scripts.call("probe", round(day.timestamp() * 1000))
        assert text.decode() == day.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def test_a_delayed_job_waits_in_the_scheduled_registry_to_the_millisecond(both: Both) -> None:
    job_id = await both.lane.send(delay=60_000)
    registry = both.rq.queue().scheduled_job_registry
    assert registry.get_job_ids(cleanup=False) == [job_id]
    leg = await both.lane.leg(job_id)
    assert round(registry.get_scheduled_time(job_id).timestamp() * 1000) == leg.due
    assert both.rq.job(job_id).get_status() is JobStatus.SCHEDULED
    assert both.rq.queue().count == 0


async def test_a_running_job_has_an_execution_from_its_first_heartbeat_on(both: Both) -> None:
    await both.lane.worker()
    job_id = await both.lane.send("gated")
    await both.lane.reach(job_id, "active")
    job = both.rq.job(job_id)
    assert job.get_status() is JobStatus.STARTED
    assert job.started_at and job.worker_name == both.lane.settings.name_prefix + "w1"
    registry = StartedJobRegistry(queue=both.rq.queue())
    assert registry.get_job_ids(cleanup=False) == [job_id]

    async def noted() -> Any:
        return job.get_executions()

    (execution,) = await eventually(noted, "the first heartbeat's note of it")
    assert registry.get_job_and_execution_ids(cleanup=False) == [(job_id, execution.id)]
    (worker,) = Worker.all(connection=both.rq.redis, queue=both.rq.queue())
    assert [current.job_id for current in worker.get_current_executions()] == [job_id]
    both.lane.journal.gate.set()
    await both.lane.reach(job_id, "completed")
    assert registry.get_job_ids(cleanup=False) == []
    assert job.get_executions() == []
    assert worker.get_current_executions(refresh=True) == []


async def test_a_finished_job_gives_its_result_to_rq(both: Both) -> None:
    await both.lane.worker()
    job_id = await both.lane.send()
    await both.lane.reach(job_id, "completed")
    job = both.rq.job(job_id)
    assert job.get_status() is JobStatus.FINISHED
    assert job.return_value() == {"by": "w1", "attempt": 1}
    assert job.started_at and job.ended_at and job.started_at <= job.ended_at
    assert both.rq.queue().finished_job_registry.get_job_ids() == [job_id]
    kept = both.lane.settings.ledger_retention
    assert kept - 60 < both.rq.ttl(job_id) <= kept
    assert kept - 60 < int(both.rq.redis.ttl(f"rq:results:{job_id}")) <= kept
    assert not both.rq.redis.keys(f"rq:execution*{job_id}*")


async def test_a_dead_job_gives_its_reason_to_rq(both: Both) -> None:
    await both.lane.worker()
    job_id = await both.lane.send(fails=9, attempts=1)
    await both.lane.reach(job_id, "dead")
    job = both.rq.job(job_id)
    assert job.get_status() is JobStatus.FAILED
    result = job.latest_result()
    assert result and result.type is Result.Type.FAILED and "asked to fail" in (result.exc_string or "")
    assert both.rq.record(job_id)[b"exc_info"] == (await both.lane.leg(job_id)).error.encode()  # type: ignore[union-attr]
    assert both.rq.queue().failed_job_registry.get_job_ids() == [job_id]
    assert both.rq.ttl(job_id) > 0


async def test_a_retried_job_is_scheduled_with_its_next_generation(both: Both) -> None:
    await both.lane.worker()
    job_id = await both.lane.send(fails=1, backoff={"type": "fixed", "delay": 60_000})
    leg = await both.lane.reach(job_id, "retrying")
    job = both.rq.job(job_id)
    assert job.get_status() is JobStatus.SCHEDULED
    assert job.meta["generation"] == leg.generation == 2
    assert round(both.rq.queue().scheduled_job_registry.get_scheduled_time(job_id).timestamp() * 1000) == leg.due


@pytest.mark.parametrize(("keep", "left"), [(True, None), ({"age": 0}, None), ({"count": 0}, None), ({"age": 90}, 90)])
@pytest.mark.parametrize("end", ["completed", "dead"])
async def test_a_job_can_ask_to_be_removed_when_it_ends(both: Both, end: str, keep: Any, left: int | None) -> None:
    await both.lane.worker()
    option = {"remove_on_complete": keep} if end == "completed" else {"remove_on_fail": keep, "attempts": 1, "fails": 9}
    job_id = await both.lane.send(**option)
    await both.lane.reach(job_id, end)
    registry = both.rq.queue().finished_job_registry if end == "completed" else both.rq.queue().failed_job_registry
    if left is None:
        with pytest.raises(NoSuchJobError):
            both.rq.job(job_id)
        assert registry.get_job_ids() == []
        assert await both.lane.publisher.lookup(job_id) is None
        assert not both.rq.redis.exists(f"rq:results:{job_id}")
    else:
        assert 0 < both.rq.ttl(job_id) <= left
        assert registry.get_job_ids() == [job_id]


async def test_a_count_keeps_the_newest_of_those_that_asked(both: Both) -> None:
    await both.lane.worker(slots=1)
    other = await both.lane.send()
    jobs = [await both.lane.send(remove_on_complete={"count": 2}) for _ in range(5)]
    await both.lane.reach(jobs[-1], "completed")
    assert set(both.rq.queue().finished_job_registry.get_job_ids()) == {other, *jobs[-2:]}


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
    assert stats["backlog"] == 3
    assert stats["levels"]["high"]["waiting"] == stats["levels"]["normal"]["waiting"] == 1
    assert stats["levels"]["low"]["delayed"] == 1
    assert stats["oldestAgeSeconds"] == stats["levels"]["normal"]["oldestAgeSeconds"] > 100_000_000
    assert stats["levels"]["high"]["oldestAgeSeconds"] < 60


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
