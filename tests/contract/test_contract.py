"""What every backend must do. A new backend is done when it passes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from booking_queue.backends.base import Delivery
from booking_queue.clock import now_ms
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.domain.job import State
from booking_queue.ledger.ledger import Claim, LegRef
from booking_queue.settings import Settings
from tests.brokers import BrokerFactory, RestartableKafka, RestartableRedis
from tests.contract.lanes import Lane, eventually, lane_of

KINDS = ("memory", "rq", "redisStreams", "kafka")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lane_settings(request: pytest.FixtureRequest, kind: str) -> Settings:
    """Only the lane that needs a Kafka waits for one."""
    found: Settings = request.getfixturevalue("settings" if kind == "kafka" else "redis_settings")
    return found


@pytest.fixture
async def lane(kind: str, lane_settings: Settings) -> AsyncIterator[Lane]:
    async with lane_of(kind, lane_settings) as lane:
        yield lane


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
        receipt = (await lane.leg(job)).receipt
        assert receipt
        partitions.setdefault(receipt["partition"], []).append(job)
    for expected in partitions.values():
        assert [job for job in lane.journal.started if job in expected] == expected


async def test_work_of_a_vanished_consumer_is_done_elsewhere(lane: Lane) -> None:
    first = await lane.worker()
    job = await lane.send("gated")
    await lane.reach(job, "active")
    await past_lease(lane)  # time for an acknowledgement that came too early to reach the broker
    await first.vanish()
    lane.journal.gate.set()
    await lane.worker()
    leg = await lane.reach(job, "completed")
    assert leg.worker == "w2"
    assert leg.attempts == 1
    assert lane.journal.started == [job, job]
    assert lane.journal.finished == [job]
    await lane.idle()


async def test_a_zombie_changes_nothing(lane: Lane) -> None:
    """It stops renewing, another takes over, and then it tries to finish."""
    held: list[tuple[Delivery, Claim]] = []
    grabbed = asyncio.Event()

    def freeze(_: Any) -> Any:
        async def handle(delivery: Delivery) -> None:
            if held:
                await asyncio.sleep(3600)
            claim = await lane.ledger.claim(delivery.envelope.id, lane.backend, delivery.envelope.generation, "zombie")
            assert isinstance(claim, Claim)
            held.append((delivery, claim))
            grabbed.set()
            await asyncio.sleep(3600)

        return handle

    zombie = await lane.worker(heartbeat=False, wrap=freeze)
    job = await lane.send("gated")
    await asyncio.wait_for(grabbed.wait(), 20)
    if lane.kind == "kafka":  # a frozen process stops heart-beating to the group as well
        await zombie.vanish()
    await lane.worker()
    await eventually(lambda: running(lane, 1), "the other worker to take over")
    delivery, claim = held[0]
    before = await lane.leg(job)
    assert not await delivery.extend(claim)
    if lane.kind != "kafka":  # there nobody holds a message: the partition is held
        assert not await delivery.extend(None), "the message is another's now and must not be stolen back"
    assert not await delivery.ack(claim, {"by": "zombie"})
    assert not await delivery.retry(claim, "zombie", 0)
    assert not await delivery.bury(claim, "zombie")
    await delivery.release(claim)
    after = await lane.leg(job)
    assert (after.state, after.worker, after.generation) == (before.state, "w2", before.generation)
    lane.journal.gate.set()
    leg = await lane.reach(job, "completed")
    assert leg.result == {"by": "w2", "attempt": 1}
    assert lane.journal.started == [job]
    await lane.idle()


async def test_a_slow_handler_keeps_its_job(lane: Lane) -> None:
    """Longer than several leases, with a second worker ready to steal it."""
    await lane.worker()
    job = await lane.send("gated")
    await lane.reach(job, "active")
    await lane.worker()
    token_before = (await lane.leg(job)).worker
    for _ in range(3):
        lease = await lane.redis.hget(f"{lane.settings.key_prefix}:job:{job}", f"{lane.backend}.lease")
        await eventually(partial(renewed, lane, job, lease), "the lease to be renewed")
    await past_lease(lane)
    assert lane.journal.started == [job]
    assert (await lane.leg(job)).worker == token_before
    lane.journal.gate.set()
    await lane.reach(job, "completed")
    assert lane.journal.started == [job]
    await lane.idle()


async def test_shutdown_hands_running_work_back_at_once(lane: Lane) -> None:
    first = await lane.worker()
    job = await lane.send("gated")
    await lane.reach(job, "active")
    await first.hand_back()
    lane.journal.gate.set()
    await lane.worker()
    leg = await lane.reach(job, "completed")
    assert leg.worker == "w2"
    assert leg.attempts == 1
    released = [event for event in await events(lane, job) if event["event"] == "released"]
    assert len(released) == 1
    await lane.idle()


async def test_shutdown_lets_short_work_finish(lane: Lane) -> None:
    first = await lane.worker()
    job = await lane.send("gated")
    await lane.reach(job, "active")
    leaving = asyncio.create_task(first.leave())
    await eventually(lambda: stopping(first), "the worker to stop taking work")
    lane.journal.gate.set()
    await leaving
    assert (await lane.leg(job)).state == "completed"
    assert lane.journal.started == [job]


async def test_two_workers_share_the_work(lane: Lane) -> None:
    await lane.worker(slots=2)
    await lane.worker(slots=2)
    jobs = [await lane.send() for _ in range(40)]
    for job in jobs:
        await lane.reach(job, "completed")
    assert sorted(lane.journal.started) == sorted(jobs)
    await lane.idle()


async def test_a_job_whose_record_is_gone_is_buried_not_run(lane: Lane) -> None:
    job = await lane.send()
    await lane.redis.delete(f"{lane.settings.key_prefix}:job:{job}")
    await lane.worker()

    async def listed() -> bool:
        return any(job in str(letter) and "expired" in str(letter) for letter in await lane.publisher.dead_letters())

    await eventually(listed, "the dead letter")
    assert lane.journal.started == []


POISON = (b"", b"\x80\x04K\x01.", b"{}", b'{"v":1,"id":1}', b"[" * 5000, b"\xff" * 100_000)


async def test_bytes_that_are_no_job_are_dead_lettered_and_harm_nobody(lane: Lane) -> None:
    good = [await lane.send() for _ in range(3)]
    for raw in POISON:
        await lane.put_raw(raw)
    good += [await lane.send() for _ in range(3)]
    await lane.worker()
    for job in good:
        await lane.reach(job, "completed")

    async def letters() -> bool:
        return len(await lane.publisher.dead_letters()) == len(POISON)

    await eventually(letters, "a dead letter for each")
    assert sorted(lane.journal.started) == sorted(good)
    await lane.idle()


async def test_a_broker_killed_in_mid_run_loses_nothing(
    kind: str, redis_settings: Settings, broker_factory: BrokerFactory
) -> None:
    """Its own broker is killed under load and started again; everything is done, by itself."""
    redis = broker_factory.redis()
    place = {"redis_host": redis.host, "redis_port": redis.port, "redis_password": redis.password}
    broker: RestartableRedis | RestartableKafka = redis
    if kind == "kafka":
        kafka = broker_factory.kafka()
        broker, place["kafka_broker"] = kafka, kafka.broker
    async with lane_of(kind, redis_settings.model_copy(update=place)) as lane:
        jobs = [await lane.send() for _ in range(30)]
        await lane.worker(slots=2)
        await lane.reach(jobs[0], "completed")
        broker.kill()
        if kind == "memory":
            lane.broker.up = False
        if kind == "kafka":
            late = await lane.accept()
            assert (await lane.publisher.publish([LegRef(late, 1)]))[0] is not None
            jobs.append(late)
        await asyncio.to_thread(broker.start)
        lane.broker.up = True

        async def all_done() -> bool:
            try:
                await lane.deliver_outbox()
                return all([(await lane.leg(job)).state == "completed" for job in jobs])
            except LedgerUnavailable:  # a connection of before the kill
                return False

        await eventually(all_done, "every job to be completed", patience=90)


async def running(lane: Lane, count: int) -> bool:
    return lane.journal.running >= count


async def renewed(lane: Lane, job: str, lease: Any) -> bool:
    now = await lane.redis.hget(f"{lane.settings.key_prefix}:job:{job}", f"{lane.backend}.lease")
    return bool(now != lease)


async def past_lease(lane: Lane) -> None:
    """Waits until Redis' clock has passed a whole lease from now."""
    seconds, micros = await lane.redis.time()
    until = seconds + micros / 1e6 + lane.settings.lease_seconds

    async def passed() -> bool:
        seconds, micros = await lane.redis.time()
        return bool(seconds + micros / 1e6 > until)

    await eventually(passed, "a lease's length")


async def stopping(worker: Any) -> bool:
    return bool(worker.processor.stopping)


async def events(lane: Lane, job: str) -> list[dict[str, Any]]:

    lines: list[Any] = await lane.redis.lrange(f"{lane.settings.key_prefix}:audit:{job}", 0, -1)
    return [json.loads(line.partition(b" ")[2]) for line in lines]
