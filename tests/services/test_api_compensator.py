"""Bookings that ended unconfirmed: the money goes back once, whatever fails on the way, and then the rooms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from booking_queue.domain.errors import PermanentError
from booking_queue.effects.mail import Mailer
from booking_queue.ledger.cancel import Cancellations
from booking_queue.ledger.compensation import Compensations
from booking_queue.ledger.effects import Effects
from booking_queue.ledger.ledger import LegRef
from booking_queue.settings import Settings
from tests.services.api_world import accept
from tests.services.compensation_office import INVENTORY, KAFKA, PAYMENT, RQ, STAY, Office, open_office


@pytest.fixture
async def office(redis_settings: Settings, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(redis_settings, tmp_path) as made:
        yield made


async def test_a_paid_booking_that_failed_is_refunded_told_and_its_rooms_are_free(office: Office) -> None:
    booking_id = await office.failed_booking(backends=(RQ, KAFKA))
    assert await office.taken() == [1, 1]
    await office.compensate()
    assert (await office.charge(booking_id))["status"] == "voided"
    mails = await office.failed_mails(booking_id)
    assert [mail["deliveries"] for mail in mails] == [1]
    assert await office.taken() == [0, 0]
    assert await office.owed() == 0
    record = await office.ledger.get(booking_id)
    assert record and record.effects["compensation"].result == {"refunded": 18_000, "mailed": True}
    assert office.count("bookings_compensated_total") == 1
    assert (await office.last_event(booking_id))["refunded"] == 18_000
    await office.compensate()
    assert len(await office.failed_mails(booking_id)) == 1


async def test_a_booking_that_was_cancelled_uncharged_is_counted_too(office: Office) -> None:
    booking_id = str(uuid4())
    await accept(office.ledger, booking_id, RQ)
    assert (await Cancellations(office.scripts).ask(booking_id)).outcome == "cancelling"
    await office.compensate()
    assert await office.owed() == 0 and (await office.last_event(booking_id))["event"] == "cancelled"
    assert office.count("bookings_compensated_total") == 1


async def test_not_before_the_last_leg_has_ended(office: Office) -> None:
    booking_id = str(uuid4())
    await accept(office.ledger, booking_id, RQ, KAFKA)
    claim = await office.claim(booking_id)
    await Effects(office.scripts).claim(claim, PAYMENT)
    assert await office.ledger.bury(claim, "no")
    assert await office.owed() == 0


@pytest.mark.parametrize(
    ("paid", "charged", "mails"), [("claimed", False, 0), ("claimed", True, 1), ("failed", True, 1), ("", False, 0)]
)
async def test_whatever_state_the_payment_was_left_in(office: Office, paid: str, charged: bool, mails: int) -> None:
    """A charge whose answer was lost is refunded; one that never came is refused should it come late."""
    booking_id = await office.failed_booking(paid=paid, charged=charged)
    await office.compensate()
    assert await office.owed() == 0 and await office.taken() == [0, 0]
    assert len(await office.failed_mails(booking_id)) == mails
    assert await office.mailed(booking_id) is bool(mails)
    assert office.count("bookings_compensated_total") == 1, "rooms were given back"
    assert (await office.last_event(booking_id))["refunded"] == (18_000 if charged else 0)
    if paid:
        assert (await office.charge(booking_id))["status"] == "voided"
        late = await office.providers.http.post(
            "/payments",
            json={"key": f"{booking_id}:payment", "amount": 18_000, "currency": "EUR", "reference": "CONF-X"},
        )
        assert late.status_code == 409
    else:
        assert (await office.providers.get("/stats"))["rawCalls"] == 0, "nothing was paid, so nobody is asked"


@pytest.mark.parametrize(
    "fault",
    [{"payment": {"failNext": 1}}, {"payment": {"loseNext": 1}}, {"mail": {"failNext": 1}}, {"mail": {"loseNext": 1}}],
)
async def test_a_provider_that_fails_is_tried_again_later(office: Office, fault: dict[str, dict[str, float]]) -> None:
    booking_id = await office.failed_booking(paid="failed")
    await office.providers.faults(**fault)
    await office.compensate()
    # A mail server that is away holds up neither money nor rooms.
    assert await office.owed() == 1 and await office.taken() == ([0, 0] if "mail" in fault else [1, 1])
    assert office.failures == ([0, 1] if "mail" in fault else [1, 0])
    assert "mail" not in fault or not await office.mailed(booking_id)
    now = int((await office.redis.time())[0]) * 1000
    assert 0 < await office.due(booking_id) - now < 5000
    await office.compensate()
    assert await office.owed() == 1, "not before its wait is over"
    await office.hurry()
    await office.compensate()
    assert await office.owed() == 0 and await office.taken() == [0, 0]
    assert len(await office.failed_mails(booking_id)) == 1, "a second copy is folded"
    record = await office.ledger.get(booking_id)
    assert record and record.effects["compensation"].result == {"refunded": 18_000, "mailed": True}


async def test_waits_grow_and_the_record_lives_as_long_as_it_owes(office: Office) -> None:
    booking_id = await office.failed_booking()
    assert int(await office.redis.pttl(office.key(f"job:{booking_id}"))) == -1
    compensations = Compensations(office.scripts)
    assert [await compensations.defer(booking_id, 1, 60_000) for _ in range(10)] == list(range(1, 11))
    now = int((await office.redis.time())[0]) * 1000
    assert 29_000 < await office.due(booking_id) - now < 62_000
    assert int(await office.redis.pttl(office.key(f"job:{booking_id}"))) == -1
    await office.hurry()
    await office.compensate()
    assert int(await office.redis.pttl(office.key(f"job:{booking_id}"))) > 100_000_000


async def test_several_replicas_refund_and_tell_once(office: Office) -> None:
    bookings = [await office.failed_booking() for _ in range(12)]
    await asyncio.gather(*(office.compensate() for _ in range(4)))
    stats = await office.providers.get("/stats")
    assert stats["rawCalls"] == 24, "a charge and a void each"
    for booking_id in bookings:
        assert [mail["deliveries"] for mail in await office.failed_mails(booking_id)] == [1]
    assert office.count("bookings_compensated_total") == 12


async def test_a_replica_that_died_on_the_way_is_followed_by_another(office: Office) -> None:
    booking_id = await office.failed_booking()
    assert await Compensations(office.scripts).take(10, 100) == [booking_id]
    await office.compensate()
    assert await office.owed() == 1, "leased"
    await asyncio.sleep(0.15)
    await office.compensate()
    assert await office.owed() == 0


async def test_a_redriven_booking_has_a_charge_of_its_own_to_void_and_a_mail_of_its_own(office: Office) -> None:
    booking_id = await office.failed_booking()
    await office.compensate()
    await charged_again(office, booking_id)
    await office.compensate()
    assert (await office.charge(booking_id, ":2"))["status"] == "voided"
    assert [mail["deliveries"] for mail in await office.failed_mails(booking_id, ".2")] == [1]
    assert await office.owed() == 0


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("at", ["void", "mail"])
async def test_what_was_done_for_one_round_neither_settles_the_next_nor_puts_it_off(
    office: Office, monkeypatch: pytest.MonkeyPatch, at: str, fails: bool
) -> None:
    """A gateway stands still between ledger and provider, while the booking is redriven, charged and dies again."""
    booking_id = await office.failed_booking()
    late = office.compensator()
    if at == "mail":
        await late.turn()
    held, go_on = asyncio.Event(), asyncio.Event()
    adapter, verb = (office.payments, "void") if at == "void" else (office.mails, "send_failed")
    ask = getattr(adapter, verb)

    async def slow(*args: Any, **named: Any) -> Any:
        held.set()
        await go_on.wait()
        if fails:
            raise OSError("the provider is away")
        return await ask(*args, **named)

    with monkeypatch.context() as slowed:
        slowed.setattr(adapter, verb, slow)
        turn = asyncio.create_task(late.turn() if at == "void" else late.tell())
        await held.wait()
    await office.hurry()
    if at == "void":  # the row is another's by now
        await office.compensate()
    await charged_again(office, booking_id)
    due = await office.due(booking_id)
    go_on.set()
    await turn
    assert due and await office.due(booking_id) == due, "the second charge"
    assert int(await office.redis.pttl(office.key(f"job:{booking_id}"))) == -1
    await office.compensate()
    assert (await office.charge(booking_id, ":2"))["status"] == "voided"
    assert await office.owed() == 0


async def charged_again(office: Office, booking_id: str) -> None:
    """Redriven, charged under the second round's key, and dead once more."""
    leg = await office.ledger.redrive(booking_id, RQ)
    assert isinstance(leg, LegRef)
    claim = await office.claim(booking_id, generation=leg.generation)
    assert claim.round == 2
    await Effects(office.scripts).claim(claim, PAYMENT)
    await office.payments.charge(f"{booking_id}:payment:2", 18_000, "EUR", "CONF-X")
    await Effects(office.scripts).done(claim, PAYMENT, {})
    assert await office.ledger.bury(claim, "again")


async def test_a_booking_that_is_gone_owes_nothing_more(office: Office) -> None:
    booking_id = await office.failed_booking()
    await office.redis.delete(office.key(f"job:{booking_id}"))
    await office.compensate()
    assert await office.owed() == 0
    assert not await office.redis.exists(office.key(f"job:{booking_id}"))
    assert office.failures == [0, 0]


async def test_a_mail_that_is_refused_for_good_holds_nothing_up(office: Office) -> None:
    booking_id = await office.failed_booking()

    class Refusing(Mailer):
        async def send_failed(self, booking_id: str, fields: Any, *, round_: int = 1) -> str:
            raise PermanentError("no such mailbox")

    office.mails = Refusing(office.providers.settings)
    await office.compensate()
    assert (await office.charge(booking_id))["status"] == "voided"
    assert await office.owed() == 0
    assert not await office.mailed(booking_id)


async def test_a_confirmed_booking_is_never_compensated(office: Office) -> None:
    booking_id = str(uuid4())
    await accept(office.ledger, booking_id, RQ, KAFKA)
    effects = Effects(office.scripts)
    claim = await office.claim(booking_id)
    await effects.claim(claim, PAYMENT)
    await effects.done(claim, PAYMENT, {})
    await effects.claim(claim, INVENTORY)
    assert (await effects.sell_rooms(claim, INVENTORY, STAY))[0]
    assert await office.ledger.complete(claim, {})
    assert await office.ledger.bury(await office.claim(booking_id, KAFKA), "late")
    assert await office.owed() == 0
