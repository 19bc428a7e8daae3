"""Jobs that others put on our queues with RQ itself: adopted and run, or refused with the remedy; never imported."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from rq import Retry
from rq.job import JobStatus
from rq.registry import FailedJobRegistry

from booking_queue.domain.job import State
from booking_queue.ledger.record import Leg
from booking_queue.settings import Settings
from tests.contract.lanes import eventually
from tests.unit.rq_side import FUNCTION, Both, both_of
from tests.unit.test_rq_payload import Touch


@pytest.fixture
async def both(redis_settings: Settings) -> AsyncIterator[Both]:
    async with both_of(redis_settings) as both:
        yield both


async def refused(both: Both, job_id: str) -> str:
    """Its reason in the failed registry; nothing has run."""
    registry = FailedJobRegistry(queue=both.rq.queue())

    async def there() -> bool:
        return job_id in registry.get_job_ids(cleanup=False)

    await eventually(there, "the job to be refused")
    record = both.rq.record(job_id)
    assert record[b"status"] == b"failed"
    assert int(both.rq.redis.ttl(f"rq:job:{job_id}")) > 0
    assert both.lane.journal.started == []
    assert any(letter["jobId"] == job_id for letter in await both.lane.publisher.dead_letters())
    return record[b"exc_info"].decode()


async def adopted(both: Both, job_id: str) -> Leg:
    """Its leg, once it has run."""

    async def done() -> Leg | None:
        record = await both.lane.ledger.get(job_id)
        leg = record.legs[both.lane.backend] if record else None
        return leg if leg and leg.state is State.COMPLETED else None

    leg: Leg = await eventually(done, "the stranger's job to run")
    return leg


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [(FUNCTION, ("noop", {"n": 1}), {}), ("noop", ({"n": 1},), {}), ("noop", (), {"n": 1})],
)
async def test_a_strangers_job_of_a_known_type_runs(both: Both, function: str, args: Any, kwargs: Any) -> None:
    worker = await both.lane.worker()
    job = both.rq.queue().enqueue(function, *args, **kwargs)

    async def finished() -> bool:
        return job.get_status() is JobStatus.FINISHED

    await eventually(finished, "RQ to see it finished")
    assert job.return_value() == {"by": "w1", "attempt": 1}
    leg = await both.lane.leg(job.id)
    assert leg.state is State.COMPLETED and leg.result == {"by": "w1", "attempt": 1}
    record = await both.lane.ledger.get(job.id)
    assert record and record.type == "noop" and record.data == {"n": 1}
    assert both.lane.journal.started == [job.id]
    await worker.leave()


async def test_a_stranger_on_another_level_keeps_it_and_its_wishes(both: Both) -> None:
    job = both.rq.queue("-high").enqueue("noop", {}, retry=Retry(max=1), job_timeout=7, ttl=2)
    await both.lane.worker()
    await adopted(both, job.id)
    record = await both.lane.ledger.get(job.id)
    assert record and record.options == {"attempts": 2, "priority": "high", "timeout": 7000}


async def test_a_strangers_time_to_live_does_not_end_it_while_it_runs(both: Both) -> None:
    job = both.rq.queue().enqueue(FUNCTION, "noop", {}, ttl=60)
    assert both.rq.ttl(job.id) > 0
    taken = await both.lane.scripts.call("rq_take", "w1", 1, 0)
    assert [row[0].decode() for row in taken] == [job.id]
    assert both.rq.ttl(job.id) == -1


async def test_what_a_stranger_noted_outlives_a_retry(both: Both) -> None:
    job_id = str(uuid4())
    both.lane.journal.failures[job_id] = 1
    meta = {"mine": [], "big": 12345678901234567890}
    both.rq.queue().enqueue(FUNCTION, "noop", {}, job_id=job_id, meta=meta)
    await both.lane.worker()
    assert (await adopted(both, job_id)).attempts == 2
    assert both.rq.job(job_id).meta == {**meta, "generation": 2, "traceparent": ""}


async def test_what_a_stranger_scheduled_with_rq_runs_when_it_is_due(both: Both) -> None:
    await both.lane.worker()
    job = both.rq.queue().enqueue_in(timedelta(seconds=1), FUNCTION, "noop", {})
    scheduled = both.rq.queue().scheduled_job_registry.get_scheduled_time(job)
    leg = await adopted(both, job.id)
    assert leg.started and datetime.fromtimestamp(leg.started / 1000, UTC) >= scheduled


async def test_another_function_is_refused(both: Both, tmp_path: Path) -> None:
    await both.lane.worker()
    trap = tmp_path / "trap"
    job = both.rq.queue().enqueue("os.system", f"touch {trap}")
    reason = await refused(both, job.id)
    assert "os.system" in reason and FUNCTION in reason
    assert not trap.exists()
    assert await both.lane.ledger.get(job.id) is None


async def test_a_type_nobody_registered_is_refused(both: Both) -> None:
    await both.lane.worker()
    job = both.rq.queue().enqueue(FUNCTION, "no-such-type", {})
    assert "not a job type; known are" in await refused(both, job.id)


async def test_an_id_that_is_no_uuid_is_refused(both: Both) -> None:
    await both.lane.worker()
    job = both.rq.queue().enqueue(FUNCTION, "noop", {}, job_id="my-own-id")
    assert "leave job_id out" in await refused(both, job.id)


async def test_a_pickled_job_is_refused_and_kept_to_look_at(both: Both, tmp_path: Path) -> None:
    await both.lane.worker()
    trap = tmp_path / "trap"
    job = both.rq.queue(serializer="pickle").enqueue(FUNCTION, "noop", Touch(str(trap)))
    before = both.rq.record(job.id)[b"data"]
    assert "serializer='json'" in await refused(both, job.id)
    assert both.rq.record(job.id)[b"data"] == before
    assert not trap.exists()


async def test_a_pickled_meta_is_refused(both: Both, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    job = both.rq.queue().enqueue(FUNCTION, "noop", {})
    both.rq.redis.hset(f"rq:job:{job.id}", "meta", pickle.dumps(Touch(str(trap))))
    await both.lane.worker()
    assert "meta" in await refused(both, job.id)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", json.dumps(["os.system", None, ["id"], {}])),
        ("data", b"\x80\x04garbage"),
        ("data", ""),
        ("meta", '{"generation": "1"}'),
        ("meta", '{"generation": 1, "traceparent": []}'),
        ("meta", "{"),
    ],
)
async def test_a_tampered_record_is_not_run_and_can_be_redriven(both: Both, field: str, value: Any) -> None:
    job_id = await both.lane.send()
    both.rq.redis.hset(f"rq:job:{job_id}", field, value)
    await both.lane.worker()
    reason = await refused(both, job_id)
    leg = await both.lane.leg(job_id)
    assert leg.state is State.DEAD and leg.error == reason
    await both.lane.publisher.redrive(job_id)  # what runs then is the ledger's
    await both.lane.reach(job_id, "completed")
    assert both.rq.queue().failed_job_registry.get_job_ids() == []


async def test_changed_data_changes_nothing(both: Both) -> None:
    """The ledger is what runs; RQ's record is for looking at."""
    seen: list[Any] = []

    def watch(handle: Any) -> Any:
        async def watched(delivery: Any) -> None:
            await handle(delivery)
            seen.append(delivery.envelope.data)

        return watched

    job_id = await both.lane.send("no-such-type")
    both.rq.redis.hset(f"rq:job:{job_id}", "data", json.dumps([FUNCTION, None, ["noop", {"n": 666}], {}]))
    await both.lane.worker(wrap=watch)
    leg = await both.lane.reach(job_id, "dead")
    assert leg.error and "no handler for type 'no-such-type'" in leg.error
    assert both.lane.journal.started == []
    assert seen == [{"n": 666}]


@pytest.mark.parametrize("kind", ["a string", "an odd id", "no record"])
async def test_rubbish_in_a_queue_stops_nothing(both: Both, kind: str) -> None:
    odd = {"a string": str(uuid4()), "an odd id": "../x:y z", "no record": str(uuid4())}[kind]
    if kind == "a string":
        both.rq.redis.set(f"rq:job:{odd}", "text", ex=60)
    both.rq.redis.rpush(f"rq:queue:{both.rq.name()}", *[odd] * 250)
    job_id = await both.lane.send()
    await both.lane.worker()
    await both.lane.reach(job_id, "completed")
    await both.lane.idle()


async def test_a_job_requeued_with_rq_starts_over(both: Both) -> None:
    await both.lane.worker()
    job_id = await both.lane.send(fails=1, attempts=1)
    await both.lane.reach(job_id, "dead")
    both.lane.journal.failures.clear()
    await asyncio.to_thread(both.rq.cli, "requeue", "--queue", both.rq.name(), "--serializer", "json", job_id)
    leg = await both.lane.reach(job_id, "completed")
    assert leg.generation == 2 and leg.attempts == 1
    assert both.rq.job(job_id).get_status() is JobStatus.FINISHED
    assert both.rq.queue().failed_job_registry.get_job_ids() == []
    assert both.rq.ttl(job_id) > 0
    await both.lane.idle()


async def test_a_late_copy_of_a_dead_job_is_not_a_redrive(both: Both) -> None:
    await both.lane.worker()
    job_id = await both.lane.send(fails=9, attempts=1)
    await both.lane.reach(job_id, "dead")
    both.rq.redis.rpush(f"rq:queue:{both.rq.name()}", job_id)
    await both.lane.idle()
    assert (await both.lane.leg(job_id)).generation == 1
    assert both.lane.journal.started == [job_id]
    assert both.rq.job(job_id).get_status() is JobStatus.FAILED


async def test_a_late_copy_of_a_finished_job_leaves_it_finished(both: Both) -> None:
    await both.lane.worker()
    job_id = await both.lane.send()
    await both.lane.reach(job_id, "completed")
    both.rq.redis.rpush(f"rq:queue:{both.rq.name()}", job_id)
    await both.lane.idle()
    job = both.rq.job(job_id)
    assert job.get_status() is JobStatus.FINISHED and job.return_value() == {"by": "w1", "attempt": 1}
    assert both.lane.journal.started == [job_id]


async def test_rq_suspend_holds_our_workers_too(both: Both) -> None:
    both.rq.redis.set("rq:suspended", 1, ex=30)
    try:
        await both.lane.worker()
        job_id = await both.lane.send()
        for _ in range(10):
            assert await both.lane.scripts.call("rq_take", "w2", 1, 0) == [b"suspended"]
            await asyncio.sleep(0.02)
        assert both.rq.queue().job_ids == [job_id]
    finally:
        both.rq.redis.delete("rq:suspended")
    await both.lane.reach(job_id, "completed")
