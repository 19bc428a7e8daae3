"""Mails to guests, over a few lasting SMTP connections.

At least once: the Message-ID is the effect key, so that an inbox can fold the copy that a crash between
send and commit makes.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formatdate
from typing import Any

from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from booking_queue.domain.errors import PermanentError, RetryableError
from booking_queue.settings import Settings

CONNECTIONS = 8
TIMEOUT_SECONDS = 5.0
DEADLINE_SECONDS = 10.0
STALE_SECONDS = 60.0
_LOCAL_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


class Mailer:
    """Raises RetryableError when it may work later, PermanentError when the server says never."""

    def __init__(self, settings: Settings, connections: int = CONNECTIONS, timeout: float = TIMEOUT_SECONDS):
        self._settings = settings
        self._timeout = timeout
        self._free = asyncio.Semaphore(connections)
        self._idle: list[tuple[SMTP, float]] = []

    async def send_confirmation(self, booking_id: str, fields: Mapping[str, Any], pdf: bytes | None = None) -> str:
        """The Message-ID."""
        number = fields.get("confirmationNumber", "")
        mail = self._compose(booking_id, "mail", f"Your booking is confirmed: {number}", fields, _CONFIRMED)
        if pdf is not None:
            mail.add_attachment(pdf, maintype="application", subtype="pdf", filename="confirmation.pdf")
        return await self._send(mail)

    async def send_failed(self, booking_id: str, fields: Mapping[str, Any]) -> str:
        mail = self._compose(booking_id, "failed", "Your booking could not be completed", fields, _FAILED)
        return await self._send(mail)

    async def close(self) -> None:
        while self._idle:
            client, _ = self._idle.pop()
            with suppress(SMTPException, OSError, TimeoutError):
                await client.quit(timeout=1)
            client.close()

    def _compose(self, booking_id: str, kind: str, subject: str, fields: Mapping[str, Any], text: str) -> EmailMessage:
        if not _ID.fullmatch(booking_id):
            raise PermanentError("the booking's id cannot stand in a Message-ID")
        mail = EmailMessage(policy=SMTP_POLICY)
        mail["From"] = self._settings.mail_from
        mail["To"] = address_of(str(fields.get("userId", "")))
        mail["Subject"] = "".join(c for c in subject if c.isprintable())
        mail["Message-ID"] = f"<{booking_id}.{kind}@booking-queue>"
        mail["Date"] = formatdate()
        mail["Auto-Submitted"] = "auto-generated"
        stay = "\n".join(f"{label + ':':<12}{_line(fields.get(name))}" for label, name in _STAY)
        mail.set_content(f"{text}\n\n{stay}\n{'Booking:':<12}{booking_id}\n")
        return mail

    async def _send(self, mail: EmailMessage) -> str:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._free, self._transaction(mail) as client:
                await client.rcpt(mail["To"])
                await client.data(mail.as_bytes())
        except SMTPResponseException as error:
            kind = PermanentError if error.code >= 500 else RetryableError
            raise kind(f"the mail server refused: {error.code} {error.message}") from error
        except (SMTPException, OSError, TimeoutError) as error:
            raise RetryableError(f"the mail could not be sent: {type(error).__name__}") from error
        return str(mail["Message-ID"])

    @asynccontextmanager
    async def _transaction(self, mail: EmailMessage) -> AsyncIterator[SMTP]:
        """A connection that has accepted MAIL FROM. Only one that ends well is used again."""
        client = await self._begin(mail["From"])
        try:
            yield client
        except SMTPResponseException:
            await self._reset(client)
            raise
        except BaseException:
            client.close()
            raise
        self._idle.append((client, time.monotonic()))

    async def _reset(self, client: SMTP) -> None:
        try:
            await client.rset()
        except (SMTPException, OSError, TimeoutError):
            client.close()
        else:
            self._idle.append((client, time.monotonic()))

    async def _begin(self, sender: str) -> SMTP:
        while self._idle:
            client, since = self._idle.pop()
            if time.monotonic() - since < STALE_SECONDS:
                # Nothing is handed over before DATA, so a connection that has died may be replaced here.
                with suppress(SMTPException, OSError, TimeoutError):
                    await client.mail(sender)
                    return client
            client.close()
        client = SMTP(hostname=self._settings.smtp_host, port=self._settings.smtp_port, timeout=self._timeout)
        try:
            await client.connect()
            await client.mail(sender)
        except BaseException:
            client.close()
            raise
        return client


_STAY = (
    ("Number", "confirmationNumber"),
    ("Guest", "userId"),
    ("Hotel", "hotelId"),
    ("Room", "roomType"),
    ("Guests", "guests"),
    ("Check-in", "checkIn"),
    ("Check-out", "checkOut"),
)
_CONFIRMED = "Thank you for your booking. It is confirmed and paid."
_FAILED = "We are sorry: your booking could not be completed. Whatever was charged has been refunded."


def address_of(user_id: str) -> str:
    """A mailbox for the user, on a name that never leaves the house. Ids that fit no mailbox get a digest."""
    fits = _LOCAL_PART.fullmatch(user_id) and ".." not in user_id and not user_id.endswith(".")
    local = user_id if fits else "user-" + hashlib.sha256(user_id.encode("utf-8", "replace")).hexdigest()[:20]
    return f"{local}@guests.booking-queue.example"


def _line(value: object) -> str:
    text = "-" if value is None else str(value)
    return "".join(c if c.isprintable() else " " for c in text.encode("utf-8", "replace").decode())
