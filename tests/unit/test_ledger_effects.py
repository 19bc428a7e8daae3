"""Effects, rooms and compensation in the ledger, on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from booking_queue.domain.booking import STEPS
from booking_queue.domain.errors import EffectHeld, LeaseLost
from booking_queue.domain.job import Backend
from booking_queue.ledger.connection import connect
from booking_queue.ledger.effects import Done, Stay
from booking_queue.ledger.ledger import LegRef
from booking_queue.ledger.record import BookingState
from booking_queue.settings import Settings
from tests.unit.book import Book

RQ, STREAMS, KAFKA = Backend.RQ, Backend.STREAMS, Backend.KAFKA
VALIDATE, PAYMENT, DOCUMENT, MAIL, INVENTORY = STEPS


@pytest.fixture
async def book(redis_settings: Settings) -> AsyncIterator[Book]:
    redis = connect(redis_settings)
    yield Book(redis, redis_settings)
    await redis.aclose()


async def test_an_effect_is_done_once_by_whichever_leg(book: Book) -> None:
    job = await book.job(RQ, KAFKA)
    first, second = await book.claim(job, RQ), await book.claim(job, KAFKA)
    assert await book.effects.claim(first, PAYMENT) is None
    with pytest.raises(EffectHeld) as held:
        await book.effects.claim(second, PAYMENT)
    assert 0 < held.value.wait_ms <= 1000
    await book.effects.done(first, PAYMENT, {"charge": 7})
    assert await book.effects.claim(second, PAYMENT) == Done({"charge": 7}, "rq")
    assert (await book.record(job)).legs[KAFKA].progress == PAYMENT.progress


async def test_an_effect_is_free_once_its_holders_lease_ends(book: Book) -> None:
    job = await book.job(RQ, KAFKA)
    first, second = await book.claim(job, RQ), await book.claim(job, KAFKA)
    assert await book.effects.claim(first, PAYMENT) is None
    await book.let_lease_end(job, RQ)
    assert await book.effects.claim(second, PAYMENT) is None
    with pytest.raises(LeaseLost):
        await book.effects.done(first, PAYMENT, {"charge": 1})
    await book.effects.done(second, PAYMENT, {"charge": 2})
    assert (await book.record(job)).effects["payment"].result == {"charge": 2}


async def test_a_failed_effect_is_free_at_once(book: Book) -> None:
    job = await book.job(RQ, KAFKA)
    first, second = await book.claim(job, RQ), await book.claim(job, KAFKA)
    assert await book.effects.claim(first, PAYMENT) is None
    await book.effects.drop(first, PAYMENT)
    assert await book.effects.claim(second, PAYMENT) is None


async def test_rooms_are_never_oversold(book: Book) -> None:
    stay = book.stay(3)
    jobs = [await book.job() for _ in range(20)]
    claims = [await book.claim(job) for job in jobs]
    await asyncio.gather(*(book.effects.claim(claim, VALIDATE) for claim in claims))
    holds = await asyncio.gather(*(book.effects.hold_rooms(claim, VALIDATE, stay, 60_000) for claim in claims))
    assert sum("rejected" not in hold for hold in holds) == 3
    winner = claims[[("rejected" not in hold) for hold in holds].index(True)]
    await book.do(winner, PAYMENT, DOCUMENT, MAIL)
    assert await book.effects.claim(winner, INVENTORY) is None
    sold, _ = await book.effects.sell_rooms(winner, INVENTORY, stay)
    assert sold
    assert (await book.record(winner.job_id)).booking_state == BookingState.CONFIRMED
    rooms = await book.scripts.call("rooms_get", 3, "h", "standard", *stay.nights)
    assert rooms == [b"3", b"3", b"1"] * 2


async def test_a_rejected_booking_takes_nothing(book: Book) -> None:
    job = await book.job()
    claim = await book.claim(job)
    await book.effects.claim(claim, VALIDATE)
    result = await book.effects.hold_rooms(claim, VALIDATE, book.stay(0), 60_000)
    assert result == {"rejected": "No room available", "night": "2026-01-01"}
    await book.ledger.complete(claim, result)
    assert (await book.record(job)).booking_state == BookingState.REJECTED
    assert await book.scripts.call("compensations_take", 10, 1000) == []


async def test_an_expired_hold_is_given_back_and_taken_anew(book: Book) -> None:
    job = await book.job()
    claim = await book.claim(job)
    await book.effects.claim(claim, VALIDATE)
    await book.effects.hold_rooms(claim, VALIDATE, book.stay(1), 0)
    assert await book.scripts.call("rooms_expire", 10) == [job.encode()]
    assert await book.scripts.call("rooms_get", 1, "h", "standard", "2026-01-01") == [b"1", b"0", b"0"]
    await book.do(claim, PAYMENT, DOCUMENT, MAIL)
    await book.effects.claim(claim, INVENTORY)
    sold, _ = await book.effects.sell_rooms(claim, INVENTORY, book.stay(1))
    assert sold


async def now_ms(book: Book) -> int:
    seconds, micros = await book.redis.time()
    return seconds * 1000 + micros // 1000


@pytest.mark.parametrize("by", ["hold", "total"])
@pytest.mark.parametrize("night", ["2000-02-29", "2099-12-31", "9999-01-01"])
async def test_a_night_is_forgotten_a_while_after_it_or_after_its_last_change(book: Book, night: str, by: str) -> None:
    before = await now_ms(book)
    if by == "hold":
        claim = await book.claim(await book.job())
        await book.effects.claim(claim, VALIDATE)
        await book.effects.hold_rooms(claim, VALIDATE, Stay("h", "standard", [night], 1), 60_000)
    else:
        await book.scripts.call("rooms_set", "h", "standard", 5, night)
    kept = 30 * 86_400_000 + Settings().ledger_retention * 1000
    over = int(datetime.fromisoformat(f"{night}T00:00+00:00").timestamp() * 1000)
    ends = await book.redis.pexpiretime(f"{book.prefix}:rooms:h:standard:{night}")
    assert max(before, over) + kept <= ends <= max(await now_ms(book), over) + kept


async def test_a_past_night_that_is_sold_is_kept_from_then_on(book: Book) -> None:
    stay = Stay("h", "standard", ["2000-02-29"], 1)
    claim = await book.claim(await book.job())
    await book.effects.claim(claim, VALIDATE)
    await book.effects.hold_rooms(claim, VALIDATE, stay, 60_000)
    await book.do(claim, PAYMENT, DOCUMENT, MAIL)
    key = f"{book.prefix}:rooms:h:standard:2000-02-29"
    await book.redis.pexpire(key, 60_000)  # as if the hold had been long ago
    await book.effects.claim(claim, INVENTORY)
    assert (await book.effects.sell_rooms(claim, INVENTORY, stay))[0]
    assert await book.redis.pttl(key) > 60_000


async def test_when_all_legs_die_after_payment_one_compensation_is_due(book: Book) -> None:
    job = await book.job(RQ, KAFKA)
    first, second = await book.claim(job, RQ), await book.claim(job, KAFKA)
    await book.effects.claim(first, VALIDATE)
    await book.effects.hold_rooms(first, VALIDATE, book.stay(1), 60_000)
    await book.do(first, PAYMENT)
    await book.ledger.bury(first, "dead")
    assert await book.scripts.call("compensations_take", 10, 60_000) == []
    await book.ledger.bury(second, "dead")
    assert (await book.record(job)).booking_state == BookingState.FAILED
    assert await book.ledger.redrive(job, RQ) == "compensating"
    assert await book.scripts.call("compensations_take", 10, 60_000) == [job.encode()]
    assert await book.scripts.call("compensations_take", 10, 60_000) == [], "it is another's for its lease"
    assert await book.scripts.call("compensated", job, 1, "{}") == [1]
    assert await book.scripts.call("compensated", job, 1, "{}") == [0]
    assert await book.scripts.call("rooms_get", 1, "h", "standard", "2026-01-01") == [b"1", b"0", b"0"]
    assert await book.ledger.redrive(job, RQ) == LegRef(job, 2)
    assert (await book.claim(job, RQ, 2)).round == 2


async def test_a_charge_whose_answer_was_lost_is_compensated_too(book: Book) -> None:
    job = await book.job()
    claim = await book.claim(job)
    await book.effects.claim(claim, PAYMENT)
    await book.effects.drop(claim, PAYMENT)
    await book.ledger.bury(claim, "dead")
    assert await book.scripts.call("compensations_take", 10, 1000) == [job.encode()]
