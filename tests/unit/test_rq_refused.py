"""What nobody may run goes to the failed registry with the remedy: never imported, never unpickled."""

from __future__ import annotations

import json
import pickle
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from rq.registry import FailedJobRegistry

from booking_queue.domain.job import State
from booking_queue.settings import Settings
from tests.contract.worker import eventually
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


async def test_another_function_is_refused(both: Both, tmp_path: Path) -> None:
    await both.lane.worker()
    trap = tmp_path / "trap"
    job = both.rq.queue().enqueue("os.system", f"touch {trap}")
    reason = await refused(both, job.id)
    assert "os.system" in reason and FUNCTION in reason
    assert not trap.exists()
    record = await both.lane.ledger.get(job.id)
    assert record and record.kind == "letter"


async def test_a_type_nobody_registered_is_refused(both: Both) -> None:
    await both.lane.worker()
    job = both.rq.queue().enqueue(FUNCTION, "no-such-type", {})
    assert "not a job type; known are" in await refused(both, job.id)


@pytest.mark.parametrize("job_id", ["my-own-id", "0" * 31 + "1", "ABCDEF00-0000-4000-8000-000000000001"])
async def test_an_id_that_is_no_uuid_as_rq_writes_it_is_refused(both: Both, job_id: str) -> None:
    await both.lane.worker()
    job = both.rq.queue().enqueue(FUNCTION, "noop", {}, job_id=job_id)
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
    if kind == "an odd id":
        both.rq.redis.hset(f"rq:job:{odd}", "data", json.dumps([FUNCTION, None, ["noop", {}], {}]))
        both.rq.redis.expire(f"rq:job:{odd}", 60)
    if kind == "a string":
        both.rq.redis.set(f"rq:job:{odd}", "text", ex=60)
    both.rq.redis.rpush(f"rq:queue:{both.rq.name()}", *[odd] * 250)
    job_id = await both.lane.send()
    await both.lane.worker()
    await both.lane.reach(job_id, "completed")
    await both.lane.idle()
    assert both.lane.journal.started == [job_id]
    assert await both.lane.publisher.dead_letters() == []
