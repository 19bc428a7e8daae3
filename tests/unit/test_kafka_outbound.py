"""What is sent where, on a real ledger and with a Kafka that only takes notes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from booking_queue.backends.envelope import Envelope
from booking_queue.backends.kafka.letters import Origin
from booking_queue.backends.kafka.topics import MAX_LETTER_BYTES
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.ledger import Claim, LegRef
from booking_queue.ledger.record import Edit
from booking_queue.settings import Settings
from tests.unit.kafka_desk import KAFKA, RECEIPT, Desk, desk_of

RQ = Backend.RQ


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


async def test_an_ordering_key_is_its_tenant_s_own(desk: Desk) -> None:
    tenants = ("", "", "acme", "acme", "globex")
    legs = [await desk.job(tenant, ordering_key="u1") for tenant in tenants]
    for leg in legs:
        await desk.outbound.send(leg)
        await desk.ledger.complete(await desk.claim(leg), None)
    keys = [note.key for note in desk.notes.sent]
    assert keys[0] == keys[1] == b"u1" and keys[2] == keys[3]
    assert len(set(keys)) == 3


async def test_a_delayed_job_stays_in_the_outbox(desk: Desk) -> None:
    leg = await desk.job(delay=60_000)
    answer = await desk.outbound.send(leg)
    assert answer.state is State.DELAYED and answer.waits, "Kafka was not asked"
    assert desk.notes.sent == []
    assert await desk.in_outbox(leg)
    assert (await desk.leg(leg)).state is State.DELAYED


@pytest.mark.parametrize(("wait", "topic"), [(300, 1), (1600, 2), (2499, 2), (7900, 8), (29_900, 30)])
async def test_a_retry_takes_the_topic_that_waits_long_enough(desk: Desk, wait: int, topic: int) -> None:
    leg = await desk.job(priority="low")
    await desk.outbound.send(leg)
    again = await desk.retried(leg, wait)
    origin = Origin(f"{desk.topics.main}-low", 2, 7, b"key", b"value", ())
    assert (await desk.outbound.send(again, origin)).state is State.RETRYING
    note = desk.notes.sent[-1]
    assert note.topic == desk.topics.retries[topic]
    assert note.key == b"key"
    envelope = Envelope.load(note.value or b"")
    assert (envelope.generation, envelope.attempt) == (2, 2)
    seconds, micros = await desk.ledger.scripts.redis.time()
    waits = envelope.not_before - (seconds * 1000 + micros // 1000)
    delay = desk.topics.waits[note.topic]
    assert delay - 500 < waits <= delay, "rounded up to the topic's delay"
    assert envelope.not_before >= (await desk.leg(leg)).due, "never early"
    assert note.headers["not-before"] == str(envelope.not_before)
    assert note.headers["priority"] == "low"
    place = [note.headers[f"original-{name}"] for name in ("topic", "partition", "offset")]
    assert place == [f"{desk.topics.main}-low", "2", "7"]
    assert not await desk.in_outbox(again)


async def test_a_retry_later_than_any_topic_waits_stays_in_the_outbox(desk: Desk) -> None:
    leg = await desk.job()
    again = await desk.retried(leg, 31_000)
    answer = await desk.outbound.send(again)
    assert answer.state is State.RETRYING and answer.waits
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
    own = [("messageId", b"m"), ("error", b"an older one")]
    answer = await desk.outbound.send(leg, Origin("first", 2, 7, b"key", b"\xff raw", own))
    assert answer.state is State.DEAD
    (note,) = desk.notes.sent
    assert (note.topic, note.key, note.value) == (desk.topics.dead, b"key", b"\xff raw")
    headers = note.headers
    assert headers.pop("failed-at").endswith("Z")
    assert headers == {
        "messageId": "m",
        "original-topic": "first",
        "original-partition": "2",
        "original-offset": "7",
        "error": "no such hotel",
    }
    assert not await desk.in_outbox(leg)


async def test_a_letter_that_is_sent_after_its_job_was_edited_tells_what_failed(desk: Desk) -> None:
    leg = await desk.job()
    await desk.ledger.bury(await desk.claim(leg), "no such hotel")
    for place, generation in ((KAFKA, 1), (RQ, 2)):
        edit = Edit("booking", {"edited": generation})
        assert await desk.ledger.redrive_as(leg.job_id, place, RQ, edit) == LegRef(leg.job_id, generation)
        claim = await desk.ledger.claim(leg.job_id, RQ, generation, "w")
        assert isinstance(claim, Claim) and await desk.ledger.bury(claim, "no")
    assert (await desk.outbound.send(leg)).state is State.DEAD
    (note,) = desk.notes.sent
    envelope = Envelope.load(note.value or b"")
    assert (envelope.type, envelope.data, note.headers["type"]) == ("noop", {"n": 1}, "noop")
    again = await desk.ledger.redrive_as(leg.job_id, RQ, KAFKA)
    assert isinstance(again, LegRef)
    await desk.outbound.send(again)
    assert Envelope.load(desk.notes.sent[-1].value or b"").data == {"edited": 2}, "it starts over as it is now"


async def test_no_letter_is_larger_than_what_its_topic_takes(desk: Desk) -> None:
    """Compressed, a message of a stranger's fits into the broker's limit and is far larger when it is read."""
    large = b"\x00" * 3 * 1024 * 1024
    headers = [("type", b"noop"), ("note", large), *(("n", b"v") for _ in range(200_000))]
    await desk.outbound.letter(Origin("first", 0, 1, large, large, headers), "bad" * 1000)
    await desk.outbound.letter(Origin("first", 0, 2, large, large, headers[:1] + headers[2:]), "bad" * 1000)
    for note in desk.notes.sent:
        size = DefaultRecordBatchBuilder.estimate_size_in_bytes(note.key, note.value, note.raw_headers)
        assert size < MAX_LETTER_BYTES
        assert note.headers["type"] == "noop"


@pytest.mark.parametrize("line", ["", "u1"])
async def test_a_dead_letter_that_the_outbox_sends_has_the_messages_key_and_its_place(desk: Desk, line: str) -> None:
    leg = await desk.job(**({"ordering_key": line} if line else {}))
    await desk.ledger.published(leg, KAFKA, RECEIPT)
    await desk.ledger.bury(await desk.claim(leg), "reason")
    await desk.outbound.send(leg)
    (note,) = desk.notes.sent
    assert note.key == (line or leg.job_id).encode()
    assert Envelope.load(note.value or b"").id == leg.job_id
    assert (note.headers["original-topic"], note.headers["original-offset"]) == ("first", "7")
    assert (await desk.leg(leg)).receipt == RECEIPT, "a dead letter is not a new place"
