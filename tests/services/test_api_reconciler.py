"""Legs that the direct publish did not bring to their broker get there; those a broker lost get there again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from api_service import reconciler as module
from api_service.budget import SECONDS_EACH, SHARE, SPARE, RetryBudget
from api_service.link import Link
from api_service.reconciler import LANE_SECONDS, Reconciler
from booking_queue.domain.errors import BackendUnavailable
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.backlog import Backlog, read_backlog
from booking_queue.ledger.ledger import Claim, Ledger, LegRef
from booking_queue.ledger.outbox import Outbox
from booking_queue.ledger.script import Scripts
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from booking_queue.web.client import ServiceClient
from tests.services.api_world import Service, accept, free_port, ledger_of

RQ = Backend.RQ


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Room:
    settings: Settings
    redis: Redis
    scripts: Scripts
    ledger: Ledger
    service: Service
    clock: Clock
    metrics: Metrics

    def reconciler(self) -> Reconciler:
        link = Link(RQ, ServiceClient(self.service.url, deadline=2))
        return Reconciler(link, Outbox(self.scripts), self.metrics, self.clock)

    async def left(self) -> Backlog:
        return await read_backlog(self.redis, self.settings, RQ)

    async def job(self, delay: int = 0) -> str:
        job_id = str(uuid4())
        await accept(self.ledger, job_id, RQ, delay=delay)
        return job_id

    async def past_grace(self) -> None:
        """As if the time that a direct publish is given had passed."""
        rows: list[bytes] = await self.redis.zrange(self.key("outbox:rq"), 0, -1)  # type: ignore[assignment]
        for job_id in rows:
            await self.redis.zadd(self.key("outbox:rq"), {job_id: 1})

    async def state(self, job_id: str) -> State:
        record = await self.ledger.get(job_id)
        assert record
        return record.legs[RQ].state

    def key(self, name: str) -> str:
        return f"{self.settings.key_prefix}:{name}"

    @property
    def republished(self) -> float:
        return self.gauge("legs_republished_total")

    def gauge(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(name, {"backend": "rq"}) or 0


@pytest.fixture
async def room(redis_settings: Settings) -> AsyncIterator[Room]:
    async with ledger_of(redis_settings) as (redis, scripts, ledger):
        service = Service(RQ, redis_settings, free_port())
        await service.start()
        yield Room(redis_settings, redis, scripts, ledger, service, Clock(), Metrics())
        await service.stop()


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


async def test_a_row_that_is_not_due_is_no_probe(room: Room) -> None:
    await room.job(delay=60_000)
    assert await Outbox(room.scripts).probe(RQ) is None


async def lose(room: Room) -> str:
    """A job that was published, that its broker lost, and that was accepted over a minute ago."""
    job = await room.job()
    await room.past_grace()
    await room.reconciler().turn()
    assert await room.state(job) is State.QUEUED
    room.service.broker.levels = {level: type(found)() for level, found in room.service.broker.levels.items()}
    await room.redis.zincrby(room.key("open:rq"), -61_000, job)
    return job


async def test_what_an_empty_lane_has_lost_is_published_again_and_counted(room: Room) -> None:
    await lose(room)
    reconciler = room.reconciler()
    room.clock.now += LANE_SECONDS
    await reconciler.turn()
    assert room.republished == 1
    await reconciler.turn()
    assert room.service.waiting == 1
    room.clock.now += LANE_SECONDS
    await reconciler.turn()
    await reconciler.turn()
    assert room.republished == 1, "the lane is not empty any more"


async def test_lost_legs_are_found_behind_any_number_that_wait_for_their_time(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lose(room)
    monkeypatch.setattr(module, "BATCH", 3)
    monkeypatch.setattr(module, "LOOKS", 2, raising=False)
    delayed = [await room.job(delay=600_000) for _ in range(7)]
    for job in delayed:  # in the outbox until then, as on Kafka
        await room.ledger.postpone(LegRef(job, 1), RQ)
        await room.redis.zincrby(room.key("open:rq"), -90_000, job)
    reconciler = room.reconciler()
    for _ in range(2):  # the first look ends before it gets there
        assert room.republished == 0
        room.clock.now += LANE_SECONDS
        await reconciler.turn()
    assert room.republished == 1


async def test_a_lane_with_work_in_it_has_lost_nothing(room: Room) -> None:
    await lose(room)
    await room.job()
    await room.past_grace()
    reconciler = room.reconciler()
    await reconciler.turn()
    room.clock.now += LANE_SECONDS
    await reconciler.turn()
    assert room.republished == 0


async def test_young_legs_are_left_alone_and_nobody_is_asked(room: Room) -> None:
    job = await lose(room)
    await room.redis.zincrby(room.key("open:rq"), 30_000, job)
    reconciler = room.reconciler()

    async def stats() -> dict[str, object]:
        raise AssertionError("asked for nothing")

    reconciler.link.stats = stats  # type: ignore[method-assign]
    room.clock.now += LANE_SECONDS
    await reconciler.turn()
    assert room.republished == 0


async def test_a_service_that_does_not_tell_its_backlog_is_never_taken_for_empty(room: Room) -> None:
    await lose(room)
    reconciler = room.reconciler()

    async def stats() -> dict[str, object]:
        return {"stats": {"waiting": 0}}

    reconciler.link.stats = stats  # type: ignore[method-assign]
    room.clock.now += LANE_SECONDS
    await reconciler.turn()
    assert room.republished == 0


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
