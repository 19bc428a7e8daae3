"""What a worker does when another leg took what it held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from booking_queue.domain.booking import STEPS
from booking_queue.domain.job import Backend, NewJob
from booking_queue.handlers.base import Handler, Run
from booking_queue.ledger.ledger import Claim
from booking_queue.settings import Settings
from tests.contract.lanes import Lane, lane_of
from tests.contract.looks import events
from tests.contract.worker import AnyData

VALIDATE = STEPS[0]


@pytest.fixture
async def lane(redis_settings: Settings) -> AsyncIterator[Lane]:
    async with lane_of("redisStreams", redis_settings) as made:
        yield made


async def test_an_effect_that_another_leg_took_over_costs_no_start(lane: Lane) -> None:
    """The holder's lease ended while it was frozen, and its leg has no successor."""
    claims: list[Claim] = []
    held, taken = asyncio.Event(), asyncio.Event()

    async def run(job: Run, _: Any) -> Any:
        claims.append(job.claim)
        done = await job.effects.claim(job.claim, VALIDATE)
        if done:
            return done.result
        held.set()
        await taken.wait()
        return await job.effects.done(job.claim, VALIDATE, "too late")

    worker = await lane.worker(heartbeat=False)
    worker.processor.tools.handlers["held"] = Handler("held", AnyData, run)  # type: ignore[index]
    job_id = str(uuid4())
    await lane.ledger.accept(NewJob(id=job_id, type="held", data={}, backends=[lane.backend, Backend.KAFKA]))
    await lane.publish(job_id)
    await asyncio.wait_for(held.wait(), 20)
    await lane.redis.hset(f"{lane.settings.key_prefix}:job:{job_id}", f"{lane.backend}.lease", "1")
    other = await lane.ledger.claim(job_id, Backend.KAFKA, 1, "other")
    assert isinstance(other, Claim)
    effects = worker.processor.tools.effects
    assert await effects.claim(other, VALIDATE) is None
    await effects.done(other, VALIDATE, "in time")
    assert await lane.ledger.extend(claims[0]), "it wakes, and its heartbeat with it"
    taken.set()
    assert (await lane.reach(job_id, "completed")).result == "in time"
    assert [claim.earlier_starts for claim in claims] == [0, 0]
    assert "crashed" not in [event["event"] for event in await events(lane, job_id)]
