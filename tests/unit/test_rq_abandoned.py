"""Jobs whose worker is gone, or was thought to be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from rq.job import JobStatus

from booking_queue.backends.rq.consumer import RqConsumer
from booking_queue.backends.slots import Slots
from booking_queue.ledger.ledger import Claim
from booking_queue.settings import Settings
from tests.contract.worker import eventually
from tests.unit.rq_side import Both, both_of


@pytest.fixture
async def both(redis_settings: Settings) -> AsyncIterator[Both]:
    async with both_of(redis_settings) as both:
        yield both


async def take(both: Both, count: int, starts: int = 0, worker: str = "w1") -> list[str]:
    rows = await both.lane.scripts.call("rq_take", worker, count, starts)
    return [row[0].decode() for row in rows]


async def test_abandoned_jobs_come_first_again_in_their_order(both: Both) -> None:
    jobs = [await both.lane.send() for _ in range(5)]
    assert await take(both, 3) == jobs[:3]
    await lease_over(both)
    assert (await both.lane.scripts.call("rq_tend", 100))[1] == 3
    assert both.rq.queue().job_ids == jobs
    assert both.rq.job(jobs[0]).get_status() is JobStatus.QUEUED
    assert both.rq.redis.keys("rq:execution*" + jobs[0] + "*") == []
    assert both.rq.redis.scard(f"rq:worker:{both.lane.settings.name_prefix}w1:executions") == 0


async def test_what_is_taken_over_and_has_not_begun_is_free_again_before_a_whole_lease(both: Both) -> None:
    _, claim = await claimed(both)
    lease = both.lane.settings.lease_seconds
    await lease_over(both)
    await both.lane.scripts.call("rq_tend", 100)
    ((job_id, queue, execution, *_),) = await both.lane.scripts.call("rq_take", "w2", 1, 0)
    assert await ends_at(both) <= await now(both) + lease * 2 / 3
    await both.lane.scripts.call("rq_extend", job_id, queue, execution, "w2", "")
    assert await ends_at(both) <= await now(both) + lease * 2 / 3, "it waits for its lease in the ledger"
    before = await now(both)
    await both.lane.scripts.call("rq_extend", job_id, queue, execution, "w2", claim.token)
    assert await ends_at(both) >= before + 0.9 * lease  # scores are whole milliseconds


async def test_what_a_reaper_finds_ended_is_only_cleared_away(both: Both) -> None:
    await both.lane.worker()
    job_id = await both.lane.send()
    await both.lane.reach(job_id, "completed")
    both.rq.redis.zadd(f"rq:wip:{both.rq.name()}", {f"{job_id}:left-over": 1.0})
    await both.lane.idle()
    assert both.rq.job(job_id).get_status() is JobStatus.FINISHED
    assert both.lane.journal.started == [job_id]


async def test_a_worker_that_slept_keeps_its_job_if_nobody_has_begun_it(both: Both) -> None:
    held = await claimed(both)
    delivery, claim = held
    await lease_over(both)
    await both.lane.scripts.call("rq_tend", 100)
    assert both.rq.queue().job_ids == [claim.job_id]
    assert await delivery.extend(claim)
    assert [member.split(b":")[0].decode() for member in started(both)] == [claim.job_id]
    assert await delivery.ack(claim, {"by": "sleeper"})
    assert await take(both, 1, worker="w2") == []  # the copy that was given back is dropped
    leg = await both.lane.leg(claim.job_id)
    assert leg.result == {"by": "sleeper"} and leg.starts == 0
    assert both.rq.job(claim.job_id).get_status() is JobStatus.FINISHED
    assert started(both) == []


async def test_the_second_of_two_copies_waits_and_is_dropped(both: Both) -> None:
    job_id = await both.lane.send("gated")
    workers = [await both.lane.worker(slots=1)]
    await both.lane.reach(job_id, "active")
    both.rq.redis.rpush(f"rq:queue:{both.rq.name()}", job_id)
    workers.append(await both.lane.worker())
    slots = [worker.processor.slots for worker in workers]
    await eventually(lambda: parked(slots), "the second copy to wait without a slot")
    assert both.rq.job(job_id).worker_name == both.lane.settings.name_prefix + "w1"
    both.lane.journal.gate.set()
    await both.lane.reach(job_id, "completed")
    await both.lane.idle()
    assert both.lane.journal.started == [job_id]
    assert both.rq.job(job_id).get_status() is JobStatus.FINISHED


async def test_what_was_given_back_already_is_not_given_back_twice(both: Both) -> None:
    delivery, _ = await claimed(both)
    await lease_over(both)
    await both.lane.scripts.call("rq_tend", 100)
    await delivery.release(None)
    assert both.rq.queue().job_ids == [delivery.envelope.id]


async def test_who_dies_waiting_for_a_dead_workers_lease_loses_nothing(both: Both) -> None:
    """A job is taken a little before it is claimed, so its entry may be reaped and taken anew while its lease lives."""
    _, claim = await claimed(both)
    for second in ("w2", "w3"):
        await both.lane.redis.hset(f"{both.lane.settings.key_prefix}:job:{claim.job_id}", "rq.lease", str(2**52))
        await lease_over(both)
        await both.lane.scripts.call("rq_tend", 100)
        assert await take(both, 1, worker=second) == [claim.job_id]


@pytest.mark.parametrize("when", ["before it is taken", "before it is claimed"])
async def test_a_cancelled_job_is_taken_off_unrun(both: Both, when: str) -> None:
    job_id = await both.lane.send()
    rows = [] if when == "before it is taken" else await both.lane.scripts.call("rq_take", "w1", 1, 0)
    await both.lane.redis.hset(f"{both.lane.settings.key_prefix}:job:{job_id}", "rq.state", "cancelled")
    for taken in rows:
        await both.lane.scripts.call("rq_drop", taken[0], taken[1], taken[2], "w1", "")
    assert await take(both, 1) == []
    assert both.rq.job(job_id).is_canceled
    assert both.rq.queue().canceled_job_registry.get_job_ids(cleanup=False) == [job_id]
    assert both.rq.ttl(job_id) > 0
    assert started(both) == []


async def test_rq_info_clears_up_after_a_dead_worker_and_loses_nothing(both: Both) -> None:
    """Counting the started jobs, RQ hands expired ones to their next try by itself."""
    job_id = await both.lane.send()
    assert await take(both, 1) == [job_id]
    await lease_over(both)
    await asyncio.to_thread(both.rq.cli, "info", "--raw")
    assert started(both) == []
    assert both.rq.job(job_id).get_status() is JobStatus.SCHEDULED
    await both.lane.worker()
    leg = await both.lane.reach(job_id, "completed")
    assert (leg.attempts, leg.generation) == (1, 1)
    assert both.lane.journal.started == [job_id]
    await both.lane.idle()


async def test_jobs_that_rqs_worker_had_popped_when_it_died_are_rescued(both: Both) -> None:
    job_id = await both.lane.send()
    key = f"rq:queue:{both.rq.name()}"
    both.rq.redis.lmove(key, f"{key}:intermediate")
    await alive(both)  # sees it for the first time
    assert both.rq.redis.llen(key) == 0
    both.rq.redis.set(f"{key}:intermediate:first_seen:{job_id}", "1000.5")
    await alive(both)
    assert both.rq.queue().job_ids == [job_id]
    assert not both.rq.redis.exists(f"{key}:intermediate")
    assert not both.rq.redis.keys(f"{key}:intermediate*")


async def test_what_rqs_worker_is_running_is_not_rescued(both: Both) -> None:
    job_id = await both.lane.send()
    key = f"rq:queue:{both.rq.name()}"
    both.rq.redis.lmove(key, f"{key}:intermediate")
    both.rq.redis.zadd(f"rq:executions:{job_id}", {"execution": 9e9})
    both.rq.redis.set(f"{key}:intermediate:first_seen:{job_id}", "1000.5")
    await alive(both)
    assert both.rq.redis.lrange(f"{key}:intermediate", 0, -1) == [job_id.encode()]
    both.rq.redis.delete(f"rq:executions:{job_id}")


async def claimed(both: Both) -> tuple[Any, Claim]:
    """A delivery in the hands of a worker that does nothing more with it."""
    consumer = RqConsumer(both.lane.settings, both.lane.scripts, "w1")
    held: asyncio.Future[tuple[Any, Claim]] = asyncio.get_running_loop().create_future()

    async def handle(delivery: Any) -> None:
        claim = await both.lane.ledger.claim(delivery.envelope.id, both.lane.backend, 1, "w1")
        assert isinstance(claim, Claim)
        held.set_result((delivery, claim))

    await both.lane.send()
    stop = asyncio.Event()
    task = asyncio.create_task(consumer.run(handle, Slots(1), stop))
    found = await asyncio.wait_for(held, 10)
    stop.set()
    await asyncio.wait_for(task, 10)
    return found


def started(both: Both) -> list[bytes]:
    return list(both.rq.redis.zrange(f"rq:wip:{both.rq.name()}", 0, -1))  # type: ignore[arg-type]


async def ends_at(both: Both) -> float:
    """When the one started entry is free for others, in seconds since 1970."""
    (member,) = started(both)
    return float(await both.lane.redis.zscore(f"rq:wip:{both.rq.name()}", member) or 0)


async def now(both: Both) -> float:
    seconds, micros = await both.lane.redis.time()
    return float(seconds + micros / 1e6)


async def lease_over(both: Both) -> None:
    """As if a lease's time had passed."""
    for member in started(both):
        both.rq.redis.zincrby(f"rq:wip:{both.rq.name()}", -3600, member)


async def alive(both: Both) -> None:
    await both.lane.scripts.call("rq_alive", "w1", 60_000, "idle")


async def parked(slots: list[Slots]) -> bool:
    return any(one.parked_now > 0 for one in slots)


async def test_what_was_taken_in_an_answer_that_was_lost_is_told_again(both: Both) -> None:
    jobs = [await both.lane.send() for _ in range(3)]
    lost = await both.lane.scripts.call("rq_take", "w1", 2, 0, "nonce-1")
    again = await both.lane.scripts.call("rq_take", "w1", 2, 0, "nonce-1")
    assert again == lost and [row[0].decode() for row in again] == jobs[:2]
    rest = await both.lane.scripts.call("rq_take", "w1", 2, 2, "nonce-2")
    assert [row[0].decode() for row in rest] == jobs[2:]
