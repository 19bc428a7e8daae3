"""RQ's own library reads what we write: its records, registries, results and tools."""

from __future__ import annotations

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
from booking_queue.ledger.limits import Limits
from booking_queue.ledger.script import Scripts
from booking_queue.settings import Settings
from tests.contract.worker import eventually
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


async def test_a_job_that_a_limit_holds_up_is_in_no_queue_and_whole_again_when_it_is_let_in(both: Both) -> None:
    limits = Limits(both.lane.ledger.scripts)
    await limits.put({"type:noop": {"rate": 1, "window": 86_400_000}})
    jobs = [await both.lane.send(priority="high") for _ in range(2)]
    await both.lane.worker()
    await both.lane.reach(jobs[0], "completed")
    await both.lane.reach(jobs[1], "delayed")
    await both.lane.idle()
    job, queue = both.rq.job(jobs[1]), both.rq.queue("-high")
    assert (job.get_status(), job.meta["generation"]) == (JobStatus.SCHEDULED, 2)
    assert not (queue.job_ids or queue.started_job_registry.get_job_ids() or queue.scheduled_job_registry.get_job_ids())
    assert both.rq.ttl(jobs[1]) > 0, "nobody else would remove it, should its record end"
    await limits.put({"type:noop": {"rate": None, "window": None}})
    await both.lane.reach(jobs[1], "completed")
    assert both.rq.job(jobs[1]).get_status() is JobStatus.FINISHED


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


async def test_a_count_leaves_another_tenant_s_alone(both: Both) -> None:
    await both.lane.worker(slots=1)
    theirs = [await both.lane.send(tenant="acme", remove_on_complete={"count": 9}) for _ in range(3)]
    mine = [await both.lane.send(tenant=tenant, remove_on_complete={"count": 1}) for tenant in ("globex", "")]
    for job in (*theirs, *mine):
        await both.lane.reach(job, "completed")
    assert set(both.rq.queue().finished_job_registry.get_job_ids()) == {*theirs, *mine}


@pytest.mark.parametrize("tool", ["redrive", "requeue"])
async def test_a_count_takes_away_no_job_that_runs_again(both: Both, tool: str) -> None:
    both.lane.journal.gate.set()
    await both.lane.worker()
    again = await both.lane.send("gated", fails=1, attempts=1, remove_on_fail={"count": 1})
    await both.lane.reach(again, "dead")
    both.lane.journal.gate.clear()
    both.lane.journal.failures.clear()
    if tool == "redrive":
        await both.lane.publisher.redrive(again)
    else:
        both.rq.queue().failed_job_registry.requeue(again)
    await both.lane.reach(again, "active")
    other = await both.lane.send(fails=1, attempts=1, remove_on_fail={"count": 1})
    await both.lane.reach(other, "dead")
    assert both.rq.job(again).get_status() is JobStatus.STARTED, "or it was lost, should its worker die now"
    both.lane.journal.gate.set()
    await both.lane.reach(again, "completed")
    assert both.rq.queue().failed_job_registry.get_job_ids() == [other]
