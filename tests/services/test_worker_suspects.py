"""Jobs that kill the process they run in: alone from their third start on, dead after the fifth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from booking_queue.domain.booking import STEPS
from booking_queue.domain.job import Backend, NewJob
from booking_queue.ledger.effects import Effects, Stay
from booking_queue.ledger.ledger import Claim, Refused
from booking_queue.settings import Settings
from tests.contract.lanes import Lane, lane_of
from tests.contract.looks import events
from tests.contract.worker import eventually
from tests.services.live_providers import live_providers
from worker_service import suspects as children
from worker_service.suspects import Crashed, Suspects

BOOKING = {"userId": "ada", "hotelId": "grand", "checkIn": "2027-01-01", "checkOut": "2027-01-03"}


@pytest.fixture
async def lane(redis_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lane]:
    """On streams, with the real booking handler in the children, which read their settings from the environment."""
    async with live_providers(tmp_path) as providers:
        theirs = {name: getattr(providers.settings, name) for name in ("providers_url", "smtp_host", "smtp_port")}
        ours = redis_settings.model_copy(update={**theirs, "documents_dir": tmp_path, "lease_seconds": 5})
        for name in type(ours).model_fields:
            value = getattr(ours, name)
            if value not in (None, "") and name not in ("limits",):
                monkeypatch.setenv(name.upper(), str(value))
        async with lane_of("redisStreams", ours) as made:
            yield made


async def crashed_twice(lane: Lane, **simulate: Any) -> tuple[str, Claim]:
    """A booking of which two starts had no outcome, claimed again."""
    job_id = str(uuid4())
    data = BOOKING | ({"simulate": simulate} if simulate else {})
    await lane.ledger.accept(NewJob(id=job_id, type="booking", data=data, backends=[lane.backend]))
    await lane.publish(job_id)
    for _ in range(2):  # the first may befall anybody: it makes no suspect
        assert isinstance(await lane.ledger.claim(job_id, lane.backend, 1, "gone", alone=False), Claim)
        await lane.redis.hset(f"{lane.settings.key_prefix}:job:{job_id}", f"{lane.backend}.lease", "1")
    claim = await lane.ledger.claim(job_id, lane.backend, 1, "w")
    assert isinstance(claim, Claim)
    return job_id, claim


async def test_a_suspect_that_does_no_harm_is_confirmed_in_a_process_of_its_own(lane: Lane) -> None:
    _, claim = await crashed_twice(lane)
    suspects = Suspects("w")
    result = await suspects.run(claim, 60)
    assert (result["status"], result["workerId"]) == ("confirmed", "w")
    again = await suspects.run((await crashed_twice(lane))[1], 60)
    assert again["status"] == "confirmed"
    assert len(suspects._idle) == 1, "one child served both"
    await suspects.close()


async def test_its_death_is_its_own(lane: Lane) -> None:
    _, claim = await crashed_twice(lane, failAt="payment", crash=True, times=9)
    suspects = Suspects("w")
    with pytest.raises(Crashed, match="-9"):
        await suspects.run(claim, 60)
    _, failing = await crashed_twice(lane, failAt="payment", times=9)
    with pytest.raises(Exception, match="failed as asked"):
        await suspects.run(failing, 60)
    await suspects.close()


async def test_a_suspect_is_claimed_only_by_who_runs_it_alone(lane: Lane) -> None:
    job_id, claim = await crashed_twice(lane)
    await lane.redis.hset(f"{lane.settings.key_prefix}:job:{job_id}", f"{lane.backend}.lease", "1")
    refused = await lane.ledger.claim(job_id, lane.backend, 1, "w2", alone=False)
    assert isinstance(refused, Refused) and refused.reason == "suspect"
    assert claim.earlier_starts == 2, "to be refused counts nothing"
    second = await lane.ledger.claim(job_id, lane.backend, 1, "w2")
    assert isinstance(second, Claim) and second.earlier_starts == 3


async def test_a_job_that_kills_whatever_runs_it_goes_dead_and_its_neighbours_are_done(lane: Lane) -> None:
    job_id, _ = await crashed_twice(lane, failAt="validate", crash=True, times=9)
    await lane.redis.hset(f"{lane.settings.key_prefix}:job:{job_id}", f"{lane.backend}.lease", "1")
    worker = await lane.worker(slots=8)
    suspects = worker.processor._suspects = Suspects("w1")
    neighbours = [await lane.send() for _ in range(20)]

    async def dead() -> bool:
        return (await lane.leg(job_id)).state == "dead"

    await eventually(dead, "the poison to be dead", patience=60)
    leg = await lane.leg(job_id)
    assert leg.error and leg.error.startswith("kills workers: 5 starts")
    happened = [event["event"] for event in await events(lane, job_id)]
    assert happened.count("started") + happened.count("crashed") == 5
    counted = await lane.redis.hgetall(f"{lane.settings.key_prefix}:counters")
    assert (counted[b"redisStreams.killers"], int(counted[b"redisStreams.crashed"]) >= 4) == (b"1", True)
    for neighbour in neighbours:
        assert (await lane.reach(neighbour, "completed")).attempts == 1

    async def told() -> bool:
        dead, runs = worker.counted("jobs_finished_total", outcome="dead"), worker.counted("job_run_seconds_count")
        return (dead, runs) == (1, len(neighbours) + 1)

    await eventually(told, "each end to be counted")
    await suspects.close()


async def test_a_child_ends_with_its_parent(lane: Lane) -> None:
    _, claim = await crashed_twice(lane, slowMs=30_000)
    suspects = Suspects("w")
    running = asyncio.create_task(suspects.run(claim, 60))

    async def at_work() -> bool:
        record = await lane.ledger.get(claim.job_id)
        return bool(record and "validate" in record.effects)

    await eventually(at_work, "the child to be at work")
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    # Whoever comes next may do what it held.
    await lane.redis.hset(f"{lane.settings.key_prefix}:job:{claim.job_id}", f"{lane.backend}.lease", "1")
    heir = await lane.ledger.claim(claim.job_id, Backend.STREAMS, 1, "heir")
    assert isinstance(heir, Claim)
    effects = Effects(lane.ledger.scripts)
    assert await effects.claim(heir, STEPS[0]) is None
    await effects.hold_rooms(heir, STEPS[0], Stay("grand", "standard", ["2027-01-01"], 5), 60_000)


async def test_a_child_that_hangs_is_ended_and_counts_as_a_crash(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker_service.suspects.GRACE_SECONDS", 0.0)
    _, claim = await crashed_twice(lane, slowMs=30_000)
    suspects = Suspects("w")
    with pytest.raises(Crashed, match="did not answer for 3 s"):
        await suspects.run(claim, 3)
    assert suspects._idle == []


async def test_an_error_whose_text_is_none_is_told_and_kills_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any) -> None:
        raise ValueError("d\udce9sactiv\udce9")

    monkeypatch.setattr(children, "run_handler", fails)
    nothing: Any = None
    assert orjson.loads(await children.answer(nothing, nothing)) == {"kind": "RetryableError", "error": "d?sactiv?"}
