"""What is sent where, on a real ledger and with a Kafka that only takes notes."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from booking_queue.backends.envelope import Envelope
from booking_queue.backends.kafka.letters import Origin
from booking_queue.backends.kafka.outbound import Outbound
from booking_queue.backends.kafka.sender import Headers, Sender, Sent
from booking_queue.backends.kafka.topics import Topics
from booking_queue.domain.errors import BackendUnavailable
from booking_queue.domain.job import Backend, NewJob, Options, State
from booking_queue.ledger.connection import connect
from booking_queue.ledger.ledger import Claim, Ledger, LegRef
from booking_queue.ledger.record import Leg
from booking_queue.ledger.script import Scripts
from booking_queue.settings import Settings

KAFKA = Backend.KAFKA
RECEIPT = {"topic": "first", "partition": 2, "offset": 7, "timestamp": 5}


@dataclass
class Note:
    topic: str
    key: bytes | None
    value: bytes | None
    headers: dict[str, str]


class Notes(Sender):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "notes")
        self.sent: list[Note] = []
        self.away = False

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> Sent:
        if self.away:
            raise BackendUnavailable("away")
        self.sent.append(Note(topic, key, value, {name: text.decode() for name, text in headers}))
        return Sent(topic, 1, 41 + len(self.sent), 99)


@dataclass
class Desk:
    ledger: Ledger
    topics: Topics
    notes: Notes
    outbound: Outbound
    prefix: str

    async def job(self, **options: Any) -> LegRef:
        job = NewJob(
            id=str(uuid.uuid4()),
            type="noop",
            data={"n": 1},
            options=Options(**options),
            backends=[KAFKA],
            trace="00-" + "1" * 32 + "-" + "2" * 16 + "-01",
        )
        assert await self.ledger.accept(job)
        return LegRef(job.id, 1)

    async def claim(self, leg: LegRef) -> Claim:
        claim = await self.ledger.claim(leg.job_id, KAFKA, leg.generation, "w")
        assert isinstance(claim, Claim)
        return claim

    async def retried(self, leg: LegRef, delay_ms: int) -> LegRef:
        again = await self.ledger.retry(await self.claim(leg), "failed", delay_ms)
        assert again
        return again

    async def leg(self, ref: LegRef) -> Leg:
        record = await self.ledger.get(ref.job_id)
        assert record
        return record.legs[KAFKA]

    async def in_outbox(self, ref: LegRef) -> bool:
        return await self.ledger.scripts.redis.zscore(f"{self.prefix}:outbox:kafka", ref.job_id) is not None


@asynccontextmanager
async def desk_of(settings: Settings) -> AsyncIterator[Desk]:
    redis = connect(settings)
    ledger, topics, notes = Ledger(Scripts(redis, settings)), Topics(settings), Notes(settings)
    yield Desk(ledger, topics, notes, Outbound(ledger, topics, notes), settings.key_prefix)
    await redis.aclose()


@pytest.fixture
async def desk(redis_settings: Settings) -> AsyncIterator[Desk]:
    async with desk_of(redis_settings) as desk:
        yield desk


async def test_a_job_goes_to_its_levels_topic_with_its_id_as_key(desk: Desk) -> None:
    leg = await desk.job(priority="high")
    answer = await desk.outbound.send(leg)
    receipt = {"messageId": leg.job_id, "topic": f"{desk.topics.main}-high", "partition": 1, "offset": 42}
    assert answer.state is State.QUEUED
    assert answer.receipt == receipt | {"timestamp": 99}
    (note,) = desk.notes.sent
    assert note.key == leg.job_id.encode()
    envelope = Envelope.load(note.value or b"")
    assert (envelope.id, envelope.data, envelope.generation, envelope.attempt) == (leg.job_id, {"n": 1}, 1, 1)
    assert note.headers == {
        "messageId": leg.job_id,
        "type": "noop",
        "generation": "1",
        "attempt": "1",
        "priority": "high",
        "traceparent": envelope.trace,
    }
    assert not await desk.in_outbox(leg)
    again = await desk.outbound.send(leg)
    assert (again.state, again.receipt) == (State.QUEUED, answer.receipt)
    assert len(desk.notes.sent) == 1


async def test_a_delayed_job_stays_in_the_outbox(desk: Desk) -> None:
    leg = await desk.job(delay=60_000)
    assert (await desk.outbound.send(leg)).state is State.DELAYED
    assert desk.notes.sent == []
    assert await desk.in_outbox(leg)
    assert (await desk.leg(leg)).state is State.DELAYED


@pytest.mark.parametrize(("delay", "topic"), [(300, 1), (1500, 2), (7900, 8), (29_900, 30)])
async def test_a_retry_takes_the_topic_that_waits_long_enough(desk: Desk, delay: int, topic: int) -> None:
    leg = await desk.job(priority="low")
    await desk.outbound.send(leg)
    again = await desk.retried(leg, delay)
    origin = Origin(f"{desk.topics.main}-low", 2, 7, b"key", b"value", ())
    assert (await desk.outbound.send(again, origin)).state is State.RETRYING
    note = desk.notes.sent[-1]
    assert note.topic == desk.topics.retries[topic]
    assert note.key == b"key"
    envelope = Envelope.load(note.value or b"")
    assert (envelope.generation, envelope.attempt) == (2, 2)
    seconds, micros = await desk.ledger.scripts.redis.time()
    waits = envelope.not_before - (seconds * 1000 + micros // 1000)
    assert topic * 1000 - 500 < waits <= topic * 1000, "rounded up to the topic's delay"
    assert envelope.not_before >= (await desk.leg(leg)).due, "never early"
    assert note.headers["not-before"] == str(envelope.not_before)
    assert note.headers["priority"] == "low"
    place = [note.headers[f"original-{name}"] for name in ("topic", "partition", "offset")]
    assert place == [f"{desk.topics.main}-low", "2", "7"]
    assert not await desk.in_outbox(again)


async def test_a_retry_later_than_any_topic_waits_stays_in_the_outbox(desk: Desk) -> None:
    leg = await desk.job()
    again = await desk.retried(leg, 31_000)
    assert (await desk.outbound.send(again)).state is State.RETRYING
    assert desk.notes.sent == []
    assert await desk.in_outbox(again)


async def test_a_retry_whose_time_has_come_goes_straight_to_its_level(desk: Desk) -> None:
    leg = await desk.job()
    again = await desk.retried(leg, 0)
    await desk.outbound.send(again)
    assert desk.notes.sent[-1].topic == desk.topics.main
    assert (await desk.leg(again)).state is State.RETRYING


async def test_while_kafka_is_away_the_row_stays(desk: Desk) -> None:
    desk.notes.away = True
    fresh = await desk.job()
    assert (await desk.outbound.send(fresh)).state is State.PENDING
    retried = await desk.retried(await desk.job(), 100)
    assert (await desk.outbound.send(retried)).state is State.PENDING
    dead = await desk.job()
    await desk.ledger.bury(await desk.claim(dead), "reason")
    assert (await desk.outbound.send(dead)).state is State.PENDING
    assert all([await desk.in_outbox(leg) for leg in (fresh, retried, dead)])


async def test_a_dead_letter_keeps_key_and_value_and_says_where_it_came_from(desk: Desk) -> None:
    leg = await desk.job()
    await desk.ledger.bury(await desk.claim(leg), "no such hotel")
    headers = [("messageId", b"m"), ("error", b"an older one")]
    answer = await desk.outbound.send(leg, Origin("first", 2, 7, b"key", b"\xff raw", headers))
    assert answer.state is State.DEAD
    (note,) = desk.notes.sent
    assert (note.topic, note.key, note.value) == (desk.topics.dead, b"key", b"\xff raw")
    failed_at = note.headers.pop("failed-at")
    assert failed_at.endswith("Z")
    assert note.headers == {
        "messageId": "m",
        "original-topic": "first",
        "original-partition": "2",
        "original-offset": "7",
        "error": "no such hotel",
    }
    assert not await desk.in_outbox(leg)


async def test_a_dead_letter_that_the_outbox_sends_knows_the_place_from_the_receipt(desk: Desk) -> None:
    leg = await desk.job()
    await desk.ledger.published(leg, KAFKA, RECEIPT)
    await desk.ledger.bury(await desk.claim(leg), "reason")
    await desk.outbound.send(leg)
    (note,) = desk.notes.sent
    assert note.key == leg.job_id.encode()
    assert Envelope.load(note.value or b"").id == leg.job_id
    assert (note.headers["original-topic"], note.headers["original-offset"]) == ("first", "7")
    assert (await desk.leg(leg)).receipt == RECEIPT, "a dead letter is not a new place"


async def test_the_word_of_a_publish_may_come_after_the_job_was_buried(desk: Desk) -> None:
    """A worker can be that fast. The row then stands for the dead letter and must stay."""
    leg = await desk.job()
    await desk.ledger.bury(await desk.claim(leg), "reason")
    await desk.ledger.published(leg, KAFKA, RECEIPT)
    assert await desk.in_outbox(leg)
    known = await desk.leg(leg)
    assert (known.state, known.receipt) == (State.DEAD, RECEIPT)
    assert known.enqueued == known.started
    assert (await desk.outbound.send(leg)).state is State.DEAD
    assert not await desk.in_outbox(leg)


async def test_the_word_of_a_publish_may_come_after_the_job_was_retried(desk: Desk) -> None:
    leg = await desk.job()
    again = await desk.retried(leg, 1000)
    await desk.ledger.published(leg, KAFKA, RECEIPT)
    assert (await desk.leg(leg)).receipt == RECEIPT
    assert await desk.in_outbox(again)
