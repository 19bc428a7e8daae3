from __future__ import annotations

import asyncio
import email
from collections.abc import AsyncIterator
from email import policy
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from booking_queue.domain.errors import PermanentError, RetryableError
from booking_queue.effects import mail
from booking_queue.effects.mail import Mailer
from booking_queue.effects.mail_message import address_of, confirmation
from booking_queue.settings import Settings
from local.probe import free_port
from providers.smtp import Connection
from tests.services.live_providers import Providers, live_providers, providers_process

FIELDS = {
    "bookingId": "b1",
    "confirmationNumber": "CONF-1",
    "userId": "user-1",
    "hotelId": "hotel-1",
    "checkIn": "2026-02-01",
    "checkOut": "2026-02-03",
    "roomType": "suite",
    "guests": 2,
}


@pytest.fixture
async def providers(tmp_path: Path) -> AsyncIterator[Providers]:
    async with live_providers(tmp_path) as running:
        yield running


@pytest.fixture
async def mailer(providers: Providers) -> AsyncIterator[Mailer]:
    made = Mailer(providers.settings)
    yield made
    await made.close()


async def inbox(providers: Providers) -> list[dict[str, Any]]:
    listed = (await providers.get("/mails?limit=500"))["items"]
    return [await providers.get(f"/mails/{each['id']}") for each in listed]


async def test_a_confirmation_arrives(providers: Providers, mailer: Mailer) -> None:
    assert await mailer.send_confirmation("b1", FIELDS) == "<b1.mail@booking-queue>"
    (got,) = await inbox(providers)
    assert got["messageId"] == "<b1.mail@booking-queue>"
    assert got["to"] == ["user-1@guests.booking-queue.example"] and got["from"] == Settings().mail_from
    assert got["subject"] == "Your booking is confirmed: CONF-1"
    for part in ("CONF-1", "user-1", "hotel-1", "2026-02-01", "2026-02-03", "suite", "b1"):
        assert part in got["text"]


async def test_a_failure_has_a_mail_of_its_own(providers: Providers, mailer: Mailer) -> None:
    assert await mailer.send_failed("b1", FIELDS) == "<b1.failed@booking-queue>"
    (got,) = await inbox(providers)
    assert "refunded" in got["text"] and got["attachments"] == []


async def test_the_same_mail_twice_is_one_in_the_inbox(providers: Providers, mailer: Mailer) -> None:
    for _ in range(2):
        await mailer.send_confirmation("b1", FIELDS)
    assert [got["deliveries"] for got in await inbox(providers)] == [2]


async def test_connections_are_few_and_kept(
    providers: Providers, mailer: Mailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0
    connection_made = Connection.connection_made

    def count(self: Connection, transport: asyncio.BaseTransport) -> None:
        nonlocal made
        made += 1
        connection_made(self, transport)

    monkeypatch.setattr(Connection, "connection_made", count)
    for _ in range(3):
        await asyncio.gather(*(mailer.send_confirmation(str(uuid4()), FIELDS) for _ in range(40)))
    assert 1 <= made <= mail.CONNECTIONS
    assert len(await inbox(providers)) == 120


async def test_a_server_that_came_back_is_used_without_an_error(tmp_path: Path) -> None:
    ports = (free_port(), free_port())
    mailer = Mailer(Settings(smtp_port=ports[1]))
    async with providers_process(tmp_path, *ports) as (process, _):
        await mailer.send_confirmation("b1", FIELDS)
        process.kill()
        await process.wait()
    with pytest.raises(RetryableError):
        await mailer.send_confirmation("b2", FIELDS)
    async with providers_process(tmp_path, *ports) as (process, _):
        await mailer.send_confirmation("b3", FIELDS)
        process.kill()
        await process.wait()
    async with providers_process(tmp_path, *ports) as (_, providers):
        await mailer.send_confirmation("b4", FIELDS)  # over what the mailer took for a live connection
        found = await inbox(providers)
        assert [each["messageId"][:3] for each in found] == ["<b4", "<b3", "<b1"]
    await mailer.close()


async def test_faults_are_retryable_and_leave_a_usable_mailer(providers: Providers, mailer: Mailer) -> None:
    await providers.faults(mail={"failNext": 1})
    with pytest.raises(RetryableError, match="451"):
        await mailer.send_confirmation("b1", FIELDS)
    await providers.faults(mail={"loseNext": 1})
    with pytest.raises(RetryableError):
        await mailer.send_confirmation("b1", FIELDS)
    await mailer.send_confirmation("b1", FIELDS)
    assert [got["deliveries"] for got in await inbox(providers)] == [2]


async def test_a_silent_server_is_left_after_the_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    served = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with served:
        mailer = Mailer(Settings(smtp_port=served.sockets[0].getsockname()[1]), timeout=0.2)
        started = asyncio.get_running_loop().time()
        with pytest.raises(RetryableError):
            await mailer.send_confirmation("b1", FIELDS)
        assert asyncio.get_running_loop().time() - started < 8
        await mailer.close()


@pytest.mark.parametrize(
    ("said", "told"), [(b"no such mailbox", "no such mailbox"), (b"d\xe9sactiv\xe9", r"d\?sactiv\?$")]
)
async def test_a_server_that_says_never_is_final(said: bytes, told: str) -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        while line := await reader.readline():
            writer.write(b"550 " + said + b"\r\n" if line.startswith(b"RCPT") else b"250 ok\r\n")
        writer.close()

    served = await asyncio.start_server(never, "127.0.0.1", 0)
    async with served:
        mailer = Mailer(Settings(smtp_port=served.sockets[0].getsockname()[1]))
        with pytest.raises(PermanentError, match="550 " + told):
            await mailer.send_confirmation("b1", FIELDS)
        await mailer.close()


async def test_a_cancelled_send_does_not_spoil_the_next(providers: Providers, mailer: Mailer) -> None:
    await providers.faults(mail={"delayMs": 500})
    sending = asyncio.create_task(mailer.send_confirmation("b1", FIELDS))
    await asyncio.sleep(0.2)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await providers.faults()
    await mailer.send_confirmation("b2", FIELDS)
    assert "<b2.mail@booking-queue>" in [got["messageId"] for got in await inbox(providers)]


async def test_nothing_a_user_wrote_becomes_a_header(providers: Providers, mailer: Mailer) -> None:
    nasty = "x\r\nBcc: victim@example.org\r\n.\r\nMAIL FROM:<a@b.c>\r\n\ud800\x00"
    await mailer.send_confirmation("b1", dict.fromkeys(FIELDS, nasty))
    (got,) = await inbox(providers)
    assert got["to"][0].startswith("user-") and len(got["to"]) == 1
    assert not [header for header in got["headers"] if header["name"].lower() == "bcc"]
    assert "\n.\n" not in got["text"] and "\nBcc" not in got["text"]
    for wrong in ("", "b1\r\nBcc: x", "b1>", "ü", "b" * 101):
        with pytest.raises(PermanentError):
            await mailer.send_confirmation(wrong, FIELDS)


@pytest.mark.parametrize(
    ("user", "fits"),
    [
        *(("user-1", True), ("A.b_c", True), ("", False), (".a", False), ("a..b", False), ("a.", False)),
        *(("a@b", False), ("日本", False), ("a" * 64, False), ("a b", False), ("a\n", False), ("\ud800", False)),
    ],
)
def test_every_user_has_a_mailbox_and_different_ones_differ(user: str, fits: bool) -> None:
    address = address_of(user)
    assert address.endswith("@guests.booking-queue.example") and address.isascii()
    assert address.startswith(user + "@" if fits else "user-")
    assert address != address_of(user + "x")


def test_the_mail_is_what_any_parser_reads() -> None:
    fields = FIELDS | {"hotelId": "日本", "confirmationNumber": "CONF-ü\r\nBcc: x"}
    raw = confirmation("b1", fields).encode("us@booking.example")
    parsed = email.message_from_bytes(raw, policy=policy.default)
    assert (
        parsed.defects == []
        and all(len(line) <= 998 for line in raw.split(b"\r\n"))
        and b"\n" not in raw.replace(b"\r\n", b"")
    )
    assert parsed["Subject"] == "Your booking is confirmed: CONF-???Bcc: x" and parsed["Bcc"] is None
    assert "日本" in parsed.get_content()
