"""Cancelling in the ledger, on a real Redis."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from booking_queue.domain.booking import STEPS
from booking_queue.domain.errors import LeaseLost
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.cancel import Cancellations, Cancelled
from booking_queue.ledger.compensation import Compensations
from booking_queue.ledger.connection import connect
from booking_queue.ledger.effects import Stay
from booking_queue.ledger.ledger import Claim, LegRef, NotSent, Refused
from booking_queue.ledger.outbox import Outbox
from booking_queue.ledger.record import BookingState
from booking_queue.ledger.script import source
from booking_queue.settings import Settings
from tests.contract.worker import eventually
from tests.unit.book import Book, ordered

RQ, KAFKA = Backend.RQ, Backend.KAFKA
VALIDATE, PAYMENT, DOCUMENT, MAIL, INVENTORY = STEPS
LUA = source("booking_queue.ledger", "cancel.lua")


@pytest.fixture
async def book(redis_settings: Settings) -> AsyncIterator[Book]:
    redis = connect(redis_settings)
    yield Book(redis, redis_settings, LUA)
    await redis.aclose()


async def paid(book: Book, *backends: Backend) -> tuple[str, Claim]:
    job = await book.job(*backends)
    claim = await book.claim(job, (backends or (RQ,))[0])
    await book.effects.claim(claim, VALIDATE)
    await book.effects.hold_rooms(claim, VALIDATE, book.stay(), 600_000)
    await book.do(claim, PAYMENT)
    return job, claim


async def taken(book: Book) -> list[Any]:
    keys = [f"{book.prefix}:rooms:h:standard:2026-01-0{n}" for n in (1, 2)]
    return [await book.redis.hgetall(key) for key in keys]


async def test_a_cancelled_booking_is_nobody_s_and_owes_its_money(book: Book) -> None:
    job, claim = await paid(book, RQ, KAFKA)
    cancel, owed = Cancellations(book.scripts), Compensations(book.scripts)
    assert await cancel.ask(job) == Cancelled("cancelling")
    assert await cancel.ask(job) == Cancelled("cancelling", "cancelling")
    assert (await book.record(job)).booking_state is BookingState.CANCELLING
    assert not await book.ledger.complete(claim, {})
    with pytest.raises(LeaseLost):
        await book.effects.claim(claim, DOCUMENT)
    assert await book.ledger.claim(job, KAFKA, 1, "w") == Refused("stale")
    assert await book.redis.zcard(f"{book.prefix}:outbox:kafka") == 0
    assert await owed.take(10, 1000) == [job]
    assert await owed.done(job, 1, {"refunded": 1})
    record = await book.record(job)
    assert record.booking_state is BookingState.CANCELLED
    assert {leg.state for leg in record.legs.values()} == {State.CANCELLED}
    assert await taken(book) == [{}, {}]
    assert await book.redis.zcard(f"{book.prefix}:compensations") == 0
    assert await book.redis.ttl(f"{book.prefix}:job:{job}") > 0
    assert await cancel.ask(job) == Cancelled("over", "cancelled")
    assert await book.ledger.redrive(job, RQ) == "cancelled"


async def test_a_confirmed_booking_can_be_cancelled_and_its_sale_is_undone(book: Book) -> None:
    job, claim = await paid(book, RQ)
    await book.do(claim, DOCUMENT, MAIL)
    await book.effects.claim(claim, INVENTORY)
    stay = book.stay()
    await book.effects.sell_rooms(claim, INVENTORY, Stay(stay.hotel_id, stay.room_type, stay.nights, 1))
    assert await book.ledger.complete(claim, {"status": "confirmed"})
    assert (await taken(book))[0][b"sold"] == b"1"
    assert await Cancellations(book.scripts).ask(job) == Cancelled("cancelling")
    assert await Compensations(book.scripts).done(job, 1, {})
    assert await taken(book) == [{}, {}]
    assert (await book.record(job)).booking_state is BookingState.CANCELLED
    assert (await book.record(job)).legs[RQ].state is State.COMPLETED


async def test_what_is_over_cannot_be_cancelled(book: Book) -> None:
    cancel, job = Cancellations(book.scripts), await book.job()
    await book.ledger.bury(await book.claim(job), "no")
    assert await cancel.ask(job) == Cancelled("over", "failed")
    assert await cancel.ask(str(uuid.uuid4())) == Cancelled("unknown")


async def test_a_cancelled_job_gives_up_its_turn_whether_or_not_it_can_be_given_back(book: Book) -> None:
    first, second, third = [await ordered(book) for _ in range(3)]
    for job in (second, third):
        assert isinstance(await book.ledger.outgoing(LegRef(job, 1), KAFKA), NotSent)
    cancel = Cancellations(book.scripts)
    await book.ledger.published(LegRef(first, 1), KAFKA, {"at": 1}, State.DELAYED)
    await cancel.ask(second)
    assert await book.redis.zcard(f"{book.prefix}:outbox:kafka") == 0, "the first has its turn already"
    assert await book.ledger.claim(third, KAFKA, 1, "w") == Refused("turn", 1000)
    await cancel.ask(first)
    assert await Outbox(book.scripts).due(KAFKA) == [LegRef(third, 1)]
    assert isinstance(await book.ledger.claim(third, KAFKA, 1, "w"), Claim)


async def test_the_turn_of_a_job_that_is_cancelled_while_it_runs_is_over_with_its_lease(book: Book) -> None:
    first, second, third = [await ordered(book) for _ in range(3)]
    await book.claim(first, KAFKA)
    for job in (second, third):
        assert isinstance(await book.ledger.outgoing(LegRef(job, 1), KAFKA), NotSent)
    lease = (await book.redis.time())[0] * 1000 + 60_000
    await book.redis.hset(f"{book.prefix}:job:{first}", "kafka.lease", lease)
    await Cancellations(book.scripts).ask(first)
    await Compensations(book.scripts).done(first, 1, {})
    for job, sent_at in ((second, lease), (third, 0)):
        assert isinstance(await book.ledger.outgoing(LegRef(job, 1), KAFKA), NotSent)
        assert await book.ledger.claim(job, KAFKA, 1, "w") == Refused("turn", 1000)
        row = int(await book.redis.zscore(f"{book.prefix}:outbox:kafka", job) or 0)
        assert abs(row - sent_at) < 1000, "sent when the lease is over"
    await book.redis.pexpire(f"{book.prefix}:held:kafka:k", 1)

    async def started() -> bool:
        return isinstance(await book.ledger.claim(second, KAFKA, 1, "w"), Claim)

    await eventually(started, "the lease to be over")
    assert await book.ledger.claim(third, KAFKA, 1, "w") == Refused("turn", 1000)
