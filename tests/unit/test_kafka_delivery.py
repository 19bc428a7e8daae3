"""One record in hand: when it is done with, and what becomes of it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from booking_queue.backends.envelope import Envelope
from booking_queue.backends.kafka import delivery as delivery_module
from booking_queue.backends.kafka.delivery import KafkaDelivery, bury_raw
from booking_queue.backends.kafka.letters import Origin
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.ledger import Claim, LegRef, Refused
from booking_queue.ledger.limits import Limits
from booking_queue.ledger.script import Arg, Scripts
from booking_queue.settings import Settings
from tests.unit.kafka_desk import Desk, desk_of

ORIGIN = Origin("first", 0, 1, b"k", b"raw", ())


@pytest.fixture
async def desk(redis_settings: Settings) -> AsyncIterator[Desk]:
    async with desk_of(redis_settings) as desk:
        yield desk


async def in_hand(desk: Desk, ours: bool = True) -> tuple[KafkaDelivery, Claim]:
    leg = await desk.job()
    await desk.outbound.send(leg)
    envelope = Envelope.load(desk.notes.sent.pop().value or b"")
    claim = await desk.ledger.claim(leg.job_id, Backend.KAFKA, 1, "w")
    assert isinstance(claim, Claim)
    return KafkaDelivery(envelope, lambda: ORIGIN, desk.ledger, desk.outbound, lambda: ours), claim


async def test_it_is_done_once_its_outcome_is_in_the_ledger(desk: Desk) -> None:
    delivery, claim = await in_hand(desk)
    assert not delivery.done
    assert await delivery.ack(claim, {"ok": True})
    assert delivery.done
    assert (await desk.leg(LegRef(claim.job_id, 1))).state is State.COMPLETED


@pytest.mark.parametrize("tenant", ["", "acme"])
async def test_the_next_of_its_ordering_key_is_sent_with_its_end(desk: Desk, tenant: str) -> None:
    first, other, second = [await desk.job(whose, ordering_key="u1") for whose in (tenant, "globex", tenant)]
    for leg in (first, other, second):
        await desk.outbound.send(leg)
    envelope = Envelope.load(desk.notes.sent[0].value or b"")
    delivery = KafkaDelivery(envelope, lambda: ORIGIN, desk.ledger, desk.outbound, lambda: True)
    assert await delivery.ack(await desk.claim(first))
    sent = [Envelope.load(note.value or b"").id for note in desk.notes.sent]
    assert sent == [first.job_id, other.job_id, second.job_id]


async def test_an_older_copy_is_done_without_the_ledger(desk: Desk) -> None:
    delivery, claim = await in_hand(desk)
    assert await delivery.ack(None)
    assert delivery.done
    assert (await desk.leg(LegRef(claim.job_id, 1))).state is State.ACTIVE


@pytest.mark.parametrize("verb", ["ack", "retry", "bury"])
async def test_without_the_lease_nothing_changes_and_it_is_not_done(desk: Desk, verb: str) -> None:
    delivery, claim = await in_hand(desk)
    await desk.ledger.release(claim)
    again = await desk.claim(LegRef(claim.job_id, 1))
    assert again.token != claim.token
    match verb:
        case "ack":
            assert not await delivery.ack(claim, None)
        case "retry":
            assert not await delivery.retry(claim, "error", 0)
        case "bury":
            assert not await delivery.bury(claim, "reason")
    assert not delivery.done
    assert desk.notes.sent == []
    assert (await desk.leg(LegRef(claim.job_id, 1))).state is State.ACTIVE


@pytest.mark.parametrize("away", [False, True])
async def test_a_retry_and_a_burial_are_done_with_whether_or_not_kafka_takes_the_copy(desk: Desk, away: bool) -> None:
    retried, first = await in_hand(desk)
    buried, second = await in_hand(desk)
    desk.notes.away = away
    assert await retried.retry(first, "error", 1000)
    assert await buried.bury(second, "reason")
    assert retried.done and buried.done
    rows = [await desk.in_outbox(LegRef(claim.job_id, 1)) for claim in (first, second)]
    assert rows == [away, away], "the row stands for the copy until it is sent"
    assert len(desk.notes.sent) == (0 if away else 2)


async def test_a_lost_lease_is_told_also_after_an_outcome_that_came_too_late(desk: Desk) -> None:
    """The worker tries the same message once more, and has to learn of it should that lease be lost too."""
    delivery, first = await in_hand(desk)
    assert await delivery.extend(first)
    await desk.ledger.release(first)
    second = await desk.claim(LegRef(first.job_id, 1))
    assert not await delivery.ack(first)
    assert await delivery.extend(second)
    await desk.ledger.release(second)
    assert not await delivery.extend(second)


async def test_the_end_of_one_sends_the_next_that_a_limit_held_up(desk: Desk) -> None:
    await Limits(desk.ledger.scripts).put({"type:noop": {"concurrency": 1}})
    running, claim = await in_hand(desk)
    leg = await desk.job()
    await desk.outbound.send(leg)
    answer = await desk.ledger.claim(leg.job_id, Backend.KAFKA, 1, "w")
    assert isinstance(answer, Refused) and answer.reason == "limited"
    desk.notes.sent.clear()
    assert await running.ack(claim)
    (sent,) = desk.notes.sent
    assert (sent.headers["messageId"], sent.headers["generation"]) == (leg.job_id, "2")
    assert not await desk.in_outbox(leg)


async def test_what_only_waits_is_given_up_with_its_partition(desk: Desk) -> None:
    ours, _ = await in_hand(desk)
    theirs, claim = await in_hand(desk, ours=False)
    assert await ours.extend(None)
    assert not await theirs.extend(None)
    assert await theirs.extend(claim), "running work goes on under its lease"


async def test_released_it_is_not_done_and_the_next_claim_may_come_at_once(desk: Desk) -> None:
    delivery, claim = await in_hand(desk)
    await delivery.release(claim)
    assert not delivery.done
    assert (await desk.claim(LegRef(claim.job_id, 1))).earlier_starts == 0


async def test_raw_bytes_are_one_letter_however_long_the_ledger_was_away(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "AGAIN_SECONDS", 0)
    call, tries = Scripts.call, iter(range(5))

    async def away_at_first(scripts: Scripts, op: str, *args: Arg) -> Any:
        if next(tries, None) is not None:
            raise LedgerUnavailable("Redis is gone")
        return await call(scripts, op, *args)

    monkeypatch.setattr(Scripts, "call", away_at_first)
    assert await bury_raw(desk.outbound, ORIGIN, "bad", lambda: True)
    assert [note.topic for note in desk.notes.sent] == [desk.topics.dead]
    assert await desk.ledger.get("first-0-1"), "it is in the inbox"


async def test_raw_bytes_are_buried_when_kafka_is_back_or_left_to_the_next_owner(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "AGAIN_SECONDS", 0.01)
    desk.notes.away = True
    mine = [True]
    burying = asyncio.create_task(bury_raw(desk.outbound, ORIGIN, "bad", lambda: mine[0]))
    await asyncio.sleep(0.05)
    assert not burying.done()
    desk.notes.away = False
    assert await burying
    assert [(note.topic, note.value) for note in desk.notes.sent] == [(desk.topics.dead, b"raw")]
    desk.notes.away = True
    burying = asyncio.create_task(bury_raw(desk.outbound, ORIGIN, "bad", lambda: mine[0]))
    await asyncio.sleep(0.05)
    mine[0] = False
    assert not await burying
