"""What holds over all workers on every backend: order by key, limits, pauses, cancelling."""

from __future__ import annotations

import asyncio

import pytest

from booking_queue.domain.errors import Overloaded
from booking_queue.ledger.cancel import Cancellations, Cancelled
from booking_queue.ledger.limits import Limits
from booking_queue.ledger.script import Scripts, source
from tests.contract.lanes import Lane
from tests.contract.looks import running
from tests.contract.worker import eventually
from worker_service import pauses

DAY_MS = 86_400_000
IN_TIME = ("yes", "no")


async def test_jobs_of_one_key_run_one_at_a_time_in_order_over_retries_too(lane: Lane) -> None:
    first = await lane.send(fails=1, ordering_key="guest-1")
    others = [await lane.send(ordering_key="guest-1") for _ in range(4)]
    alone = await lane.send(ordering_key="guest-2")
    workers = [await lane.worker(), await lane.worker()]
    for job in [first, *others, alone]:
        await lane.reach(job, "completed")
    assert [job for job in lane.journal.started if job != alone] == [first, first, *others]
    for worker in workers:
        await worker.leave()
    await lane.idle()


async def test_a_job_that_waits_for_its_time_holds_up_its_key_and_nobody_waits_for_ever(lane: Lane) -> None:
    first = await lane.send(delay=600, ordering_key="k")
    second, other = await lane.send(ordering_key="k"), await lane.send(ordering_key="other")
    await lane.worker()
    await lane.reach(other, "completed")

    async def done() -> bool:
        await lane.deliver_outbox()
        return (await lane.leg(second)).state == "completed"

    await eventually(done, "the second job to be completed")
    assert [job for job in lane.journal.started if job != other] == [first, second]
    await lane.idle()


async def test_a_job_out_of_turn_is_said_to_wait_however_often_it_is_sent(lane: Lane) -> None:
    first, second = await lane.accept(ordering_key="k"), await lane.accept(ordering_key="k")
    for _ in range(2):
        answer = await lane.publish(second)
        assert (answer.state, answer.waits) == ("pending", True)
    answer = await lane.publish(first)
    assert (answer.state, answer.waits) == ("queued", False)


async def test_a_dead_job_lets_the_next_of_its_key_go_on(lane: Lane) -> None:
    first, second = await lane.send(fails=3, ordering_key="k"), await lane.send(ordering_key="k")
    await lane.worker()
    await lane.reach(first, "dead")
    await lane.reach(second, "completed")


async def test_a_dead_job_is_redriven_once_there_is_room_for_it(lane: Lane) -> None:
    limits, job = Limits(Scripts(lane.redis, lane.settings)), await lane.send(fails=1, attempts=1)
    await lane.worker()
    await lane.reach(job, "dead")
    lane.journal.failures.clear()
    await lane.accept(delay=60_000)
    await limits.put({lane.backend: {"outstanding": 1}})
    with pytest.raises(Overloaded):
        await lane.publisher.redrive(job)
    assert (await lane.leg(job)).state == "dead"
    await limits.put({lane.backend: {"outstanding": 2}})
    assert not isinstance(await lane.publisher.redrive(job), str)
    assert (await lane.reach(job, "completed")).generation == 2


async def test_a_redriven_job_has_waited_since_it_was_redriven(lane: Lane) -> None:
    worker = await lane.worker()
    job = await lane.send(fails=1, attempts=1)
    await lane.reach(job, "dead")
    record = f"{lane.settings.key_prefix}:job:{job}"
    await lane.redis.hincrby(record, "created", -2 * DAY_MS)
    before = worker.counted("job_wait_seconds_sum")
    lane.journal.failures.clear()
    await lane.publisher.redrive(job)
    registry = worker.processor.tools.metrics.registry

    async def judged() -> list[float | None]:
        found = [registry.get_sample_value("jobs_in_time_total", {"type": "noop", "in_time": it}) for it in IN_TIME]
        return found if any(found) else []

    assert await eventually(judged, "the end to be counted") == [1, None]
    assert worker.counted("job_wait_seconds_count") == 2
    assert worker.counted("job_wait_seconds_sum") - before < DAY_MS / 1000


async def test_who_takes_a_job_over_notes_no_second_wait(lane: Lane) -> None:
    job = await lane.send("gated")
    first = await lane.worker()
    await lane.reach(job, "active")
    await first.vanish()
    lane.journal.gate.set()
    second = await lane.worker()
    await lane.reach(job, "completed")
    assert [worker.counted("job_wait_seconds_count") for worker in (first, second)] == [1, 0]


async def test_a_job_that_ends_sends_the_next_of_its_key_and_nothing_else(lane: Lane) -> None:
    first, second, other = await lane.send(ordering_key="k"), await lane.send(ordering_key="k"), await lane.accept()
    await lane.redis.zadd(f"{lane.settings.key_prefix}:outbox:{lane.backend}", {other: 1})
    await lane.worker()
    await lane.reach(first, "completed")
    await lane.reach(second, "completed")
    assert (await lane.leg(other)).state == "pending", "what is left to the outbox has its own retries"


async def test_no_more_run_at_a_time_than_the_limit_over_two_workers(lane: Lane) -> None:
    await Limits(lane.ledger.scripts).put({lane.backend: {"concurrency": 2}})
    jobs = [await lane.send("gated") for _ in range(6)]
    await lane.worker()
    await lane.worker()
    await eventually(lambda: running(lane, 2), "two running")
    lane.journal.gate.set()
    for job in jobs:
        assert (await lane.reach(job, "completed")).attempts == 1, "waiting uses up no attempt"
    assert lane.journal.most_at_once == 2
    await lane.idle()


async def test_a_paused_backend_starts_nothing_until_it_is_resumed(lane: Lane) -> None:
    limits = Limits(lane.ledger.scripts)
    await limits.put({lane.backend: {"paused": 1}})
    worker, stop = await lane.worker(), asyncio.Event()
    slots = worker.processor.slots
    following = asyncio.create_task(pauses.follow(limits, {lane.backend: slots}, stop))
    await eventually(lambda: _is(not slots.free), "the worker to take nothing")
    jobs = [await lane.send() for _ in range(3)]
    await limits.put({lane.backend: {"paused": None}})
    for job in jobs:
        leg = await lane.reach(job, "completed")
        assert leg.started and leg.attempts == 1
    stop.set()
    await following
    await lane.idle()


async def test_a_cancelled_job_never_runs_and_a_running_one_changes_nothing_more(lane: Lane) -> None:
    scripts = Scripts(lane.redis, lane.settings, extra=source("booking_queue.ledger", "cancel.lua"))
    active = await lane.send("gated")
    await lane.worker(slots=1)
    await lane.reach(active, "active")
    waiting = await lane.send()
    for job in (active, waiting):
        assert await Cancellations(scripts).ask(job) == Cancelled("cancelling")
    lane.journal.gate.set()
    last = await lane.send()
    await lane.reach(last, "completed")
    for job in (active, waiting):
        leg = await lane.leg(job)
        assert (leg.state, leg.result) == ("cancelling", None)
    assert waiting not in lane.journal.started
    await lane.idle()


async def test_of_a_cancelled_job_nothing_lies_at_the_broker_until_its_time(lane: Lane) -> None:
    scripts = Scripts(lane.redis, lane.settings, extra=source("booking_queue.ledger", "cancel.lua"))
    job, kept = [await lane.send(delay=3_600_000) for _ in range(2)]
    held = (await lane.publisher.stats())["scheduled"]
    answer = await Cancellations(scripts).ask(job)
    assert answer.scheduled == (lane.backend,)
    assert await lane.publisher.discard(job) == "cancelling"
    assert await lane.publisher.discard(kept) == "delayed"
    assert (await lane.publisher.stats())["scheduled"] == held // 2


async def _is(truth: bool) -> bool:
    return truth
