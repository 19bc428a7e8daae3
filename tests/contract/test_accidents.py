"""What every backend must do when consumers vanish, freeze or stop, when bytes are bad, and when brokers die."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

from booking_queue.backends.base import Delivery
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.ledger.ledger import Claim, LegRef
from booking_queue.settings import Settings
from tests.brokers import BrokerFactory, RestartableKafka, RestartableRedis
from tests.contract.lanes import Lane, lane_of
from tests.contract.looks import events, past_lease, renewed, running, stopping
from tests.contract.worker import eventually


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


class Watched:
    """A delivery of which a test sees that it is kept."""

    def __init__(self, delivery: Delivery, kept: asyncio.Event):
        self._delivery = delivery
        self._kept = kept

    def __getattr__(self, name: str) -> Any:
        return getattr(self._delivery, name)

    async def extend(self, claim: Claim | None) -> bool:
        answer = await self._delivery.extend(claim)
        if claim and answer:
            self._kept.set()
        return answer


async def test_what_is_taken_over_is_kept_for_a_whole_lease_as_it_begins(lane: Lane) -> None:
    """Its broker holds it for less until then, and the first heartbeat is far."""
    kept = asyncio.Event()
    first = await lane.worker(heartbeat=False)
    job = await lane.send("gated")
    await lane.reach(job, "active")
    assert not kept.is_set()
    await first.vanish()
    await lane.worker(
        heartbeat=False, wrap=lambda handle: lambda delivery: handle(cast("Delivery", Watched(delivery, kept)))
    )
    async with asyncio.timeout(20):
        await kept.wait()
    lane.journal.gate.set()
    await lane.reach(job, "completed")


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


async def test_what_kills_workers_is_counted_by_what_is_said_of_it_not_by_the_text_of_its_error(lane: Lane) -> None:
    killer, talker = await lane.send(), await lane.send()

    def bury(_: Any) -> Any:
        async def handle(delivery: Delivery) -> None:
            envelope = delivery.envelope
            claim = await lane.ledger.claim(envelope.id, lane.backend, envelope.generation, "w")
            assert isinstance(claim, Claim)
            assert await delivery.bury(claim, "kills workers", killer=envelope.id == killer)

        return handle

    await lane.worker(wrap=bury)
    for job in (killer, talker):
        assert (await lane.reach(job, "dead")).error == "kills workers"
    counted = await lane.redis.hgetall(f"{lane.settings.key_prefix}:counters")
    assert counted[f"{lane.backend}.killers".encode()] == b"1"


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
    worker = await lane.worker()

    async def listed() -> bool:
        return worker.counted("jobs_finished_total", outcome="dead") == 1 and any(
            job in str(letter) and "expired" in str(letter) for letter in await lane.publisher.dead_letters()
        )

    await eventually(listed, "the dead letter")
    assert lane.journal.started == []


POISON = (b"", b"\x80\x04K\x01.", b"{}", b'{"v":1,"id":1}', b"[" * 5000, b"\xff" * 100_000)


async def test_a_result_that_is_no_json_ends_its_job_at_once_and_is_told(lane: Lane) -> None:
    await lane.worker()
    job = await lane.send("odd")
    leg = await lane.reach(job, "dead")
    assert (leg.error or "").startswith("its result is no JSON") and lane.journal.started == [job]
    await lane.idle()


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
