"""The guest is told once the money is back. Whatever the mail server does, nobody's money waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from api_service.compensator import BATCH
from booking_queue.effects import mail
from booking_queue.ledger.compensation import Compensations
from booking_queue.ledger.ledger import LegRef
from booking_queue.ledger.record import Record
from booking_queue.settings import Settings
from tests.services.api_world import until, world
from tests.services.compensation_office import RQ, Office, open_office


@pytest.fixture
async def office(redis_settings: Settings, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(redis_settings, tmp_path) as made:
        yield made


@asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[int, list[asyncio.StreamWriter]]]:
    """Takes connections and says nothing: its port, and who is connected."""
    guests: list[asyncio.StreamWriter] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        guests.append(writer)
        await reader.read()
        guests.remove(writer)
        writer.close()

    served = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with served:
        yield served.sockets[0].getsockname()[1], guests


async def test_a_mail_server_that_hangs_holds_up_no_money(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "DEADLINE_SECONDS", 600)
    monkeypatch.setattr(mail.Mailer.__init__, "__defaults__", (mail.CONNECTIONS, 600))
    bookings = [await office.failed_booking() for _ in range(2 * BATCH + 5)]

    async def all_voided() -> bool:
        return {(await office.charge(booking))["status"] for booking in bookings} == {"voided"}

    async with silent_server() as (port, guests):
        ours: dict[str, Any] = {"providers_url": office.providers.url, "smtp_port": port}
        async with world(office.settings, up=False, **ours):
            await until(lambda: bool(guests))
            await until(all_voided)
            bookings.append(await office.failed_booking())
            await until(all_voided)
            assert 0 < len(guests) <= mail.CONNECTIONS
        await until(lambda: not guests)  # a stop has ended what was under way
    assert await office.owed() == len(bookings) and await office.taken() == [0, 0]
    await office.hurry()
    gateway = office.compensator()
    while await gateway.tell():
        pass
    assert await office.owed() == 0
    assert [len(await office.failed_mails(booking)) for booking in bookings] == [1] * len(bookings)


async def test_who_waits_for_a_mail_does_not_stand_before_who_waits_for_money(office: Office) -> None:
    told = [await office.failed_booking() for _ in range(BATCH + 1)]
    gateway = office.compensator()
    while await gateway.turn():
        pass
    assert gateway.paid.is_set()
    late = await office.failed_booking()
    compensations = Compensations(office.scripts)
    assert await compensations.take(10, 1) == [late]
    assert set(await compensations.untold(2 * BATCH, 1)) == set(told)


async def test_a_booking_that_is_redriven_before_its_mail_went_is_not_told_of_the_new_round(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking_id = await office.failed_booking()
    gateway = office.compensator()
    await gateway.turn()
    get = office.ledger.get

    async def redriven(job_id: str) -> Record | None:
        assert isinstance(await office.ledger.redrive(job_id, RQ), LegRef)
        return await get(job_id)

    monkeypatch.setattr(office.ledger, "get", redriven)
    await gateway.tell()
    assert await office.owed() == 0 and office.failures == [0, 0]
    for round_ in ("", ".2"):
        assert await office.failed_mails(booking_id, round_) == []


async def test_a_row_that_an_older_version_left_is_told_too(office: Office) -> None:
    """It stood among those whose money was owed, until its mail was sent."""
    booking_id = await office.failed_booking()
    await office.compensator().turn()
    await office.redis.rename(office.key("untold"), office.key("compensations"))
    await office.compensate()
    assert len(await office.failed_mails(booking_id)) == 1
    assert await office.owed() == 0
    assert (await office.providers.get("/stats"))["rawCalls"] == 2, "a charge and a void, once each"
