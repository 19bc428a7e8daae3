"""Legs that the direct publish did not bring to their broker get there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import uuid4

import pytest

from api_service.budget import SECONDS_EACH, SHARE, SPARE, RetryBudget
from api_service.link import Link
from api_service.reconciler import Reconciler
from booking_queue.domain.errors import BackendUnavailable
from booking_queue.domain.job import State
from booking_queue.ledger.backlog import SAMPLE
from booking_queue.ledger.ledger import Claim, LegRef
from booking_queue.ledger.outbox import Outbox
from booking_queue.settings import Settings
from booking_queue.web.client import ServiceClient
from tests.services.api_world import accept, ledger_of
from tests.services.reconciler_room import RQ, Room, room_of


@pytest.fixture
async def room(redis_settings: Settings) -> AsyncIterator[Room]:
    async with room_of(redis_settings) as room:
        yield room


async def test_what_was_accepted_and_not_published_is_published(room: Room) -> None:
    jobs = [await room.job() for _ in range(3)]
    reconciler = room.reconciler()
    await reconciler.turn()
    assert room.service.waiting == 0, "the direct publish gets its time first"
    await room.past_grace()
    await reconciler.turn()
    assert room.service.waiting == 3
    assert [await room.state(job) for job in jobs] == [State.QUEUED] * 3
    await room.past_grace()
    await reconciler.turn()
    assert room.service.waiting == 3


async def test_a_direct_publish_has_its_time_however_long_that_may_be(redis_settings: Settings) -> None:
    patient, job = redis_settings.model_copy(update={"publish_deadline": 60}), str(uuid4())
    async with ledger_of(patient) as (redis, scripts, ledger):
        now = (await redis.time())[0] * 1000
        await accept(ledger, job, RQ)
        outbox = f"{patient.key_prefix}:outbox:rq"
        assert (await redis.zscore(outbox, job) or 0) > now + 59_000
        await redis.zadd(outbox, {job: 1})
        assert await Outbox(scripts).due(RQ) == [LegRef(job, 1)]
        assert (await redis.zscore(outbox, job) or 0) > now + 59_000


async def test_a_full_page_asks_for_the_next_turn_at_once(room: Room) -> None:
    await asyncio.gather(*(room.job() for _ in range(150)))
    await room.past_grace()
    reconciler = room.reconciler()
    assert await reconciler.turn()
    assert not await reconciler.turn()
    assert room.service.waiting == 150


async def test_a_backend_that_takes_new_legs_and_never_this_one_is_not_asked_without_end(room: Room) -> None:
    """Its circuit stays closed; what is retried in vain stays a fifth of what is sent, and a few."""
    link = Link(RQ, ServiceClient(room.service.url, deadline=2), budget=RetryBudget(room.clock))
    reconciler = Reconciler(link, Outbox(room.scripts), room.metrics, room.clock)
    await room.job()
    wire, vain, firsts = room.service.wire, 0, 0
    for _ in range(25):
        wire.refuse = True
        await room.past_grace()
        asked = wire.asked
        with suppress(BackendUnavailable):
            await reconciler.turn()
        vain += wire.asked - asked
        wire.refuse = False
        for _ in range(2):
            await link.submit(LegRef(await room.job(), 1))
            firsts += 1
    assert not link.circuit.open
    assert vain < 25, "some were held back"
    assert SPARE + SHARE * firsts - 1 <= vain <= SPARE + SHARE * firsts
    reconciler.measure(await room.left())
    assert room.gauge("publish_retry_budget") == link.budget.left
    room.clock.now += SECONDS_EACH
    await room.past_grace()
    await reconciler.turn()
    assert await room.redis.zcard(room.key("outbox:rq")) == 0, "what works again gets all of it"


async def test_several_replicas_share_the_rows(room: Room) -> None:
    await asyncio.gather(*(room.job() for _ in range(120)))
    await room.past_grace()
    replicas = [room.reconciler() for _ in range(4)]
    await asyncio.gather(*(replica.turn() for replica in replicas))
    await asyncio.gather(*(replica.turn() for replica in replicas))
    assert room.service.waiting == 120
    assert sum(room.service.wire.batches) == 120, "each row went out once"


async def test_a_row_that_cannot_be_sent_is_tried_later_not_at_every_turn(room: Room) -> None:
    await room.job()
    await room.past_grace()
    room.service.wire.refuse = True
    reconciler = room.reconciler()
    with pytest.raises(BackendUnavailable):
        await reconciler.turn()
    asked = room.service.wire.asked
    for _ in range(5):
        await reconciler.turn()
    assert room.service.wire.asked == asked


async def test_rows_waiting_for_a_late_turn_are_woken_once_the_service_works(room: Room) -> None:
    jobs = [await room.job() for _ in range(5)]
    now = int((await room.redis.time())[0]) * 1000
    await room.redis.zadd(room.key("outbox:rq"), dict.fromkeys(jobs, now + 25_000))
    reconciler = room.reconciler()
    await reconciler.turn()
    assert room.service.waiting == 0
    reconciler.link.recovered.set()
    await reconciler.turn()
    assert await room.redis.zcount(room.key("outbox:rq"), now + 5000, "+inf") == 0
    assert not reconciler.link.recovered.is_set()


async def test_an_open_circuit_is_probed_with_a_real_row_and_nothing_else_is_sent(room: Room) -> None:
    for _ in range(10):
        await room.job()
    await room.past_grace()
    reconciler = room.reconciler()
    circuit = reconciler.link.circuit
    circuit._clock = room.clock
    for _ in range(5):
        circuit.failed()
    await reconciler.turn()
    assert room.service.wire.asked == 0
    room.clock.now += 5
    await reconciler.turn()
    assert room.service.wire.batches[0] == 1
    assert not circuit.open
    await reconciler.turn()
    assert room.service.waiting == 10


async def test_two_replicas_probe_with_different_rows(room: Room) -> None:
    jobs = {await room.job() for _ in range(3)}
    outbox = Outbox(room.scripts)
    probes = {probe.job_id for _ in range(3) if (probe := await outbox.probe(RQ))}
    assert probes == jobs


async def probed_after_an_outage(room: Room) -> Reconciler:
    """Its circuit was open, and has closed by one turn."""
    reconciler = room.reconciler()
    circuit = reconciler.link.circuit
    circuit._clock = room.clock
    for _ in range(5):
        circuit.failed()
    room.clock.now += 5
    await reconciler.turn()
    assert not circuit.open
    return reconciler


async def test_a_service_that_is_back_is_found_though_only_delayed_jobs_came_while_it_was_away(room: Room) -> None:
    delayed = [await room.job(delay=3_600_000) for _ in range(100)]
    reconciler = await probed_after_an_outage(room)
    await room.past_grace()
    await reconciler.turn()
    assert {await room.state(job) for job in delayed} == {State.DELAYED}


async def test_a_row_that_is_due_is_tried_before_any_that_is_not(room: Room) -> None:
    delayed, outbox = await room.job(delay=3_600_000), Outbox(room.scripts)
    due = await room.job()
    assert [await outbox.probe(RQ) for _ in range(2)] == [LegRef(due, 1)] * 2
    await room.redis.zrem(room.key("outbox:rq"), due)
    assert await outbox.probe(RQ) == LegRef(delayed, 1)


async def test_what_would_tell_nothing_of_the_broker_is_no_probe(room: Room) -> None:
    outbox = Outbox(room.scripts)
    put_off, gone = await room.job(delay=60_000), await room.job()
    await room.ledger.postpone(LegRef(put_off, 1), RQ)  # as on Kafka, which cannot delay
    await room.redis.delete(room.key(f"job:{gone}"))
    first, second = [await room.job(ordering_key="k") for _ in range(2)]
    assert [await outbox.probe(RQ) for _ in range(2)] == [LegRef(first, 1)] * 2
    assert await room.redis.zrange(room.key("outbox:rq"), 0, -1) == [first.encode(), put_off.encode()]
    assert await room.state(second) is State.PENDING
    await room.redis.zrem(room.key("outbox:rq"), first)
    assert await outbox.probe(RQ) is None


async def test_a_service_that_is_back_is_found_though_all_that_waits_was_put_off(room: Room) -> None:
    await room.ledger.postpone(LegRef(await room.job(delay=3_600_000), 1), RQ)  # as on Kafka, which cannot delay
    await probed_after_an_outage(room)
    assert room.service.wire.asked == 0


async def test_the_gauges_tell_how_much_waits_and_for_how_long(room: Room) -> None:
    job = await room.job()
    delayed = await room.job(delay=600_000)
    await room.redis.zincrby(room.key("open:rq"), -500_000, delayed)
    await room.redis.zincrby(room.key("open:rq"), -90_000, job)
    now = int((await room.redis.time())[0]) * 1000
    await room.redis.zadd(room.key("outbox:rq"), {job: now + 25_000})
    reconciler = room.reconciler()
    reconciler.measure(await room.left())
    assert room.gauge("outbox_legs") == 2
    assert 90 <= room.gauge("outbox_oldest_age_seconds") < 120, "by acceptance, not by the next try"


async def test_what_is_late_is_seen_behind_any_number_that_wait_for_their_time(room: Room) -> None:
    late, retried = await room.sent(), await room.sent()
    for _ in range(SAMPLE):
        await room.redis.zincrby(room.key("open:rq"), -500_000, await room.job(delay=600_000))
    claim = await room.ledger.claim(retried, RQ, 1, "w")
    assert isinstance(claim, Claim) and await room.ledger.retry(claim, "failed", 600_000)
    await room.redis.zincrby(room.key("open:rq"), -500_000, retried)
    await room.redis.zincrby(room.key("open:rq"), -90_000, late)
    assert 90 <= (await room.left()).oldest_age < 120


async def test_what_waits_is_seen_behind_any_number_that_run(room: Room) -> None:
    for _ in range(SAMPLE):
        job = await room.job()
        assert isinstance(await room.ledger.claim(job, RQ, 1, "w"), Claim)
        await room.redis.zincrby(room.key("open:rq"), -500_000, job)
    assert (await room.left()).oldest_age == 0
    await room.redis.zincrby(room.key("open:rq"), -90_000, await room.sent())
    assert 90 <= (await room.left()).oldest_age < 120
    await room.redis.hset(room.key(f"job:{job}"), "rq.lease", "1")
    assert (await room.left()).oldest_age >= 500, "whoever ran it is gone"


async def test_a_dead_letter_that_waits_counts_from_its_end(room: Room) -> None:
    job = await room.job()
    await room.past_grace()
    await room.reconciler().turn()
    claim = await room.ledger.claim(job, RQ, 1, "w")
    assert isinstance(claim, Claim)
    assert await room.ledger.bury(claim, "no")
    await room.redis.hincrby(room.key(f"job:{job}"), "rq.finished", -70_000)
    room.reconciler().measure(await room.left())
    assert 70 <= room.gauge("outbox_oldest_age_seconds") < 100
