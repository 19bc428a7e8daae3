"""Jobs that others put on our queues with RQ itself: adopted and run, or refused with the remedy; never imported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from rq import Retry
from rq.job import JobStatus

from booking_queue.domain.job import State
from booking_queue.ledger.limits import Limits
from booking_queue.ledger.outbox import Outbox
from booking_queue.ledger.record import Leg
from booking_queue.ledger.script import Scripts
from booking_queue.settings import Settings
from tests.brokers import BrokerFactory
from tests.contract.worker import eventually
from tests.unit.rq_side import FUNCTION, Both, both_of


@pytest.fixture
async def both(redis_settings: Settings) -> AsyncIterator[Both]:
    async with both_of(redis_settings) as both:
        yield both


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


async def test_a_job_requeued_with_rq_while_there_is_no_room_for_it_stays_dead(both: Both) -> None:
    await both.lane.worker()
    job_id = await both.lane.send(fails=1, attempts=1)
    await both.lane.reach(job_id, "dead")
    await both.lane.accept(delay=60_000)
    await Limits(Scripts(both.lane.redis, both.lane.settings)).put({"rq": {"outstanding": 1}})
    await asyncio.to_thread(both.rq.cli, "requeue", "--queue", both.rq.name(), "--serializer", "json", job_id)

    async def failed() -> bool:
        return bool(both.rq.queue().failed_job_registry.get_job_ids() == [job_id])

    await eventually(failed, "RQ's failed registry to have it again")
    assert both.rq.job(job_id).get_status() is JobStatus.FAILED
    assert (await both.lane.leg(job_id)).generation == 1


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


async def test_a_job_cancelled_with_rq_is_not_sent_again(both: Both) -> None:
    job_id = await both.lane.send()
    both.rq.job(job_id).cancel()
    assert both.rq.queue().count == 0
    found = await Outbox(both.lane.scripts).republish(both.lane.backend, 0)
    assert found == (None, [job_id]), "the lane is empty, its leg is not over"
    await both.lane.deliver_outbox()
    leg = await both.lane.leg(job_id)
    assert leg.state is State.DEAD and leg.error and "cancelled with RQ's own tools" in leg.error
    assert both.rq.queue().count == 0 and both.rq.job(job_id).is_canceled
    await both.lane.publisher.redrive(job_id)
    await both.lane.worker()
    await both.lane.reach(job_id, "completed")


async def test_rq_suspend_holds_our_workers_too(redis_settings: Settings, broker_factory: BrokerFactory) -> None:
    """On a Redis of its own: it is said to all workers there are."""
    broker = broker_factory.redis()
    place = {"redis_host": broker.host, "redis_port": broker.port, "redis_password": broker.password}
    async with both_of(redis_settings.model_copy(update=place)) as both:
        await asyncio.to_thread(both.rq.cli, "suspend")
        await both.lane.worker()
        job_id = await both.lane.send()
        for _ in range(10):
            assert await both.lane.scripts.call("rq_take", "w2", 1, 0) == [b"suspended"]
            await asyncio.sleep(0.02)
        assert both.rq.queue().job_ids == [job_id]
        await asyncio.to_thread(both.rq.cli, "resume")
        await both.lane.reach(job_id, "completed")
