"""What every backend must do with a job that meets no accident. A new backend is done when it passes this folder."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from booking_queue.clock import now_ms
from booking_queue.domain.job import State
from booking_queue.metrics import Metrics
from booking_queue.web.direct import BackendService
from tests.contract.lanes import Lane
from tests.contract.looks import events, running
from tests.contract.worker import eventually


async def test_a_published_job_runs_once_and_completes(lane: Lane) -> None:
    job = await lane.send()
    await lane.worker()
    leg = await lane.reach(job, "completed")
    assert lane.journal.started == [job]
    assert leg.result == {"by": "w1", "attempt": 1}
    assert leg.receipt
    assert leg.progress == 100
    assert leg.enqueued and leg.started and leg.finished
    assert leg.enqueued <= leg.started <= leg.finished
    await lane.idle()


async def test_what_was_sent_before_any_worker_started_is_done(lane: Lane) -> None:
    jobs = [await lane.send() for _ in range(20)]
    await lane.worker()
    for job in jobs:
        await lane.reach(job, "completed")
    assert sorted(lane.journal.started) == sorted(jobs)


async def test_publishing_twice_runs_once(lane: Lane) -> None:
    job = await lane.accept()
    first, second = await asyncio.gather(lane.publish(job), lane.publish(job))
    third = await lane.publish(job)
    assert first.state == second.state == third.state == State.QUEUED
    await lane.worker()
    await lane.reach(job, "completed")
    await lane.idle()
    assert lane.journal.started == [job]


async def test_a_generation_that_is_over_is_not_published(lane: Lane) -> None:
    job = await lane.send(fails=3, attempts=1)
    await lane.worker()
    await lane.reach(job, "dead")
    answer = await lane.publish(job, generation=7)
    assert answer.state == State.DEAD
    await lane.idle()
    assert lane.journal.started == [job]


async def test_a_delayed_job_is_in_time_when_it_is_done_soon_after_its_time(lane: Lane) -> None:
    delay = 10 * round(lane.settings.sla_seconds * 1000)
    job = await lane.accept(delay=delay)
    record = f"{lane.settings.key_prefix}:job:{job}"
    for field in ("created", f"{lane.backend}.due"):  # as if it had been accepted so much earlier
        await lane.redis.hincrby(record, field, -delay)
    await lane.publish(job)
    worker = await lane.worker()

    async def counted() -> list[float]:
        registry = worker.processor.tools.metrics.registry
        found = [registry.get_sample_value("jobs_in_time_total", {"type": "noop", "in_time": w}) for w in ("yes", "no")]
        return [value or 0 for value in found] if any(found) else []

    assert await eventually(counted, "it to be counted") == [1, 0]


async def test_a_delayed_job_is_never_early(lane: Lane) -> None:
    await lane.worker()
    sent = now_ms()
    job = await lane.send(delay=1200)
    assert (await lane.leg(job)).state == "delayed"

    async def outbox_until_done() -> bool:
        await lane.deliver_outbox()
        return (await lane.leg(job)).state == "completed"

    await eventually(outbox_until_done, "the delayed job to run")
    leg = await lane.leg(job)
    assert leg.started and leg.started >= leg.due >= sent + 1200


async def test_a_free_slot_takes_the_highest_level(lane: Lane) -> None:
    low = [await lane.send(priority="low") for _ in range(3)]
    normal = [await lane.send() for _ in range(3)]
    high = [await lane.send(priority="high") for _ in range(3)]
    critical = [await lane.send(priority="critical") for _ in range(3)]
    await lane.worker(slots=1)
    for job in low + normal + high + critical:
        await lane.reach(job, "completed")
    started = lane.journal.started
    assert set(started[:3]) == set(critical)
    assert set(started[3:6]) == set(high)
    assert set(started[6:9]) == set(normal)


async def test_a_low_job_is_not_starved(lane: Lane) -> None:
    low = await lane.send(priority="low")
    others = [await lane.send(priority="critical") for _ in range(45)]
    await lane.worker(slots=1)
    for job in [low, *others]:
        await lane.reach(job, "completed")
    assert lane.journal.started.index(low) < 44


async def test_a_failing_job_is_retried_with_backoff(lane: Lane) -> None:
    await lane.worker()
    job = await lane.send(fails=1, backoff={"type": "fixed", "delay": 600})
    await lane.reach(job, "retrying")
    leg = await lane.reach(job, "completed")
    assert leg.attempts == 2
    assert leg.generation == 2
    assert lane.journal.started == [job, job]
    retry = [event for event in await events(lane, job) if event["event"] == "retrying"]
    second = [event for event in await events(lane, job) if event["event"] == "started"][1]
    assert second["at"] >= retry[0]["at"] + 600
    await lane.idle()


async def test_a_job_that_keeps_failing_is_buried_with_its_reason(lane: Lane) -> None:
    await lane.worker()
    job = await lane.send(fails=9, attempts=3)
    leg = await lane.reach(job, "dead")
    assert leg.attempts == 3
    assert leg.error and "asked to fail" in leg.error
    assert len(lane.journal.started) == 3

    async def listed() -> bool:
        return any(job in str(letter) for letter in await lane.publisher.dead_letters())

    await eventually(listed, "the dead letter")
    letter = next(letter for letter in await lane.publisher.dead_letters() if job in str(letter))
    assert "asked to fail" in str(letter)
    await lane.idle()


async def test_a_dead_job_can_be_redriven(lane: Lane) -> None:
    await lane.worker()
    job = await lane.send(fails=9, attempts=1)
    await lane.reach(job, "dead")
    lane.journal.failures.clear()
    answer = await lane.publisher.redrive(job)
    assert not isinstance(answer, str)
    leg = await lane.reach(job, "completed")
    assert leg.generation == 2
    assert await lane.publisher.redrive(job) == "completed"
    if lane.publisher.features.removable_dead_letters:
        assert not any(job in str(letter) for letter in await lane.publisher.dead_letters())
    await lane.idle()


async def test_a_job_can_be_looked_up_before_while_and_after_it_runs(lane: Lane) -> None:
    job = await lane.send("gated")
    assert await lane.publisher.lookup(job)
    await lane.worker()
    await lane.reach(job, "active")
    assert await lane.publisher.lookup(job)
    lane.journal.gate.set()
    await lane.reach(job, "completed")
    assert await lane.publisher.lookup(job)
    assert await lane.publisher.lookup("11111111-1111-1111-1111-111111111111") is None


async def test_stats_follow_the_jobs(lane: Lane) -> None:
    assert (await lane.publisher.stats())["backlog"] == 0
    jobs = [await lane.send("gated") for _ in range(6)]

    async def backlog_is(count: int) -> bool:
        return bool((await lane.publisher.stats())["backlog"] == count)

    await eventually(lambda: backlog_is(6), "six jobs in the backlog")
    await lane.worker(slots=2)
    await eventually(lambda: running(lane, 2), "two running")
    assert await backlog_is(6)
    lane.journal.gate.set()
    for job in jobs:
        await lane.reach(job, "completed")
    await lane.idle()


async def test_what_may_not_start_yet_is_told_apart_in_the_backlog(lane: Lane) -> None:
    await lane.send(delay=3_600_000)
    stats = await lane.publisher.stats()
    assert stats["backlog"] == stats["scheduled"]
    await lane.send()

    async def one_may_start() -> bool:
        told = await lane.publisher.stats()
        return bool(told["backlog"] == told["scheduled"] + 1)

    await eventually(one_may_start, "a job that may start")


async def test_the_oldest_that_waits_is_none_that_runs_and_none_before_its_time_or_turn(lane: Lane) -> None:
    service = BackendService(lane.publisher, lane.scripts, lane.settings, Metrics())

    async def oldest() -> float:
        return float((await service.stats())["oldestAgeSeconds"])

    async def accepted_earlier(job: str, seconds: int) -> None:
        await lane.redis.zincrby(f"{lane.settings.key_prefix}:open:{lane.backend}", -seconds * 1000, job)

    await lane.send(delay=3_600_000)
    for kind in ("gated", "noop"):  # the second's turn comes once the first has ended
        await accepted_earlier(await lane.send(kind, ordering_key="one"), 5_000)
    await lane.worker(slots=1)
    await eventually(lambda: running(lane, 1), "one running")
    assert await oldest() == 0
    await accepted_earlier(await lane.send(), 500)
    assert 500 <= await oldest() < 5_000
    lane.journal.gate.set()
    await eventually(lambda: _none_waits(oldest), "nothing to wait")


async def _none_waits(oldest: Callable[[], Awaitable[float]]) -> bool:
    return await oldest() == 0


async def test_no_more_run_at_once_than_there_are_slots(lane: Lane) -> None:
    jobs = [await lane.send("gated") for _ in range(8)]
    await lane.worker(slots=3)
    await eventually(lambda: running(lane, 3), "three running")
    lane.journal.gate.set()
    for job in jobs:
        await lane.reach(job, "completed")
    assert lane.journal.most_at_once == 3


async def test_one_slot_starts_jobs_in_publish_order(lane: Lane) -> None:
    jobs = [await lane.send() for _ in range(12)]
    await lane.worker(slots=1)
    for job in jobs:
        await lane.reach(job, "completed")
    if lane.publisher.features.total_order:
        assert lane.journal.started == jobs
        return
    partitions: dict[Any, list[str]] = {}
    for job in jobs:
        partitions.setdefault((await lane.place(job))["partition"], []).append(job)
    for expected in partitions.values():
        assert [job for job in lane.journal.started if job in expected] == expected
