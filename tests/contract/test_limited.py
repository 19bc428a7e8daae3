"""Jobs that a limit holds up wait off their broker, on every backend: in nobody's way, and in nobody's hands."""

from __future__ import annotations

import asyncio

from booking_queue.ledger.cancel import Cancellations
from booking_queue.ledger.ledger import LegRef
from booking_queue.ledger.limits import Limits
from booking_queue.ledger.script import Scripts, source
from tests.contract.lanes import Lane
from tests.contract.looks import events
from tests.contract.worker import Worker, eventually

DAY = 86_400_000
ONCE_A_DAY = {"type:noop": {"rate": 1, "window": DAY}}
NO_LIMIT = {"type:noop": {"rate": None, "window": None}}


async def held(lane: Lane, jobs: list[str], ended: int = 1) -> list[str]:
    """Those that the limit holds up, once nothing else is left to do."""
    found: list[str] = []

    async def settled() -> bool:
        legs = [(job, await lane.leg(job)) for job in jobs]
        found[:] = [job for job, leg in legs if leg.limited_by]
        return len(found) == len(jobs) - ended and sum(leg.state == "completed" for _, leg in legs) == ended

    await eventually(settled, "all but what may start to be held up")
    return found


async def completed(lane: Lane, jobs: list[str]) -> None:
    async def done() -> bool:
        await lane.deliver_outbox()
        return all([(await lane.leg(job)).state == "completed" for job in jobs])

    await eventually(done, "all to be completed")


async def nothing_in_hand(worker: Worker) -> bool:
    return worker.processor.slots.tasks == 0


async def test_however_many_a_limit_holds_up_nobody_else_waits_for_them(lane: Lane) -> None:
    own = {"key": "provider", "max": 1, "durationMs": DAY}
    jobs = await asyncio.gather(*(lane.accept(rate_limit=own) for _ in range(400)))
    await lane.publisher.publish([LegRef(job, 1) for job in jobs])
    worker = await lane.worker()
    others = [await lane.send() for _ in range(10)]
    for job in others:
        await lane.reach(job, "completed")
    for job in await held(lane, jobs):
        leg = await lane.leg(job)
        assert (leg.state, leg.attempts, leg.starts, leg.started) == ("delayed", 0, 0, None)
    assert len(lane.journal.started) == 1 + len(others)
    await lane.idle()
    await eventually(lambda: nothing_in_hand(worker), "no job to be in the worker's hands")


async def test_once_the_limit_is_lifted_all_that_it_held_up_run_and_it_cost_them_no_attempt(lane: Lane) -> None:
    limits = Limits(lane.ledger.scripts)
    await limits.put(ONCE_A_DAY)
    jobs = [await lane.send() for _ in range(6)]
    await lane.worker()
    await held(lane, jobs)
    await limits.put(NO_LIMIT)
    await completed(lane, jobs)
    assert sorted(lane.journal.started) == sorted(jobs)
    for job in jobs:
        assert (await lane.leg(job)).attempts == 1
        assert [each["attempt"] for each in await events(lane, job) if each["event"] == "started"] == [1]
    await lane.idle()


async def test_whoever_ends_lets_the_next_in_and_nobody_asks(lane: Lane) -> None:
    """Without a gateway and without a look: each end is the next one's beginning."""
    await Limits(lane.ledger.scripts).put({"type:noop": {"concurrency": 1}})
    jobs = [await lane.send() for _ in range(30)]
    await lane.worker()
    for job in jobs:
        await lane.reach(job, "completed")
    assert (lane.journal.most_at_once, sorted(lane.journal.started)) == (1, sorted(jobs))
    await lane.idle()


async def test_a_job_that_is_held_up_keeps_the_turn_of_its_key_over_a_retry_too(lane: Lane) -> None:
    limits = Limits(lane.ledger.scripts)
    await limits.put(ONCE_A_DAY)
    first = await lane.send(ordering_key="k", fails=1)
    second = await lane.send("gated", ordering_key="k")
    lane.journal.gate.set()
    await lane.worker()
    await held(lane, [first], ended=0)  # its second attempt would be the second start of this day
    assert lane.journal.started == [first]
    await limits.put(NO_LIMIT)
    await completed(lane, [first, second])
    assert lane.journal.started == [first, first, second]


async def test_a_job_that_is_cancelled_in_line_never_runs(lane: Lane) -> None:
    limits = Limits(lane.ledger.scripts)
    await limits.put(ONCE_A_DAY)
    jobs = [await lane.send() for _ in range(3)]
    await lane.worker()
    waiting = await held(lane, jobs)
    scripts = Scripts(lane.redis, lane.settings, extra=source("booking_queue.ledger", "cancel.lua"))
    await Cancellations(scripts).ask(waiting[0])
    await limits.put(NO_LIMIT)
    await completed(lane, waiting[1:])
    assert waiting[0] not in lane.journal.started
    assert (await lane.leg(waiting[0])).state == "cancelling"
    await lane.idle()
