"""Mails to guests, over a few lasting SMTP connections.

At least once: the Message-ID stands for the effect, as its key does, so that an inbox can fold the copy that a crash
between send and commit makes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from booking_queue.domain.errors import PermanentError, RetryableError
from booking_queue.effects.mail_message import Mail, cancellation, confirmation, failure
from booking_queue.settings import Settings

CONNECTIONS = 8
TIMEOUT_SECONDS = 5.0
DEADLINE_SECONDS = 10.0
STALE_SECONDS = 60.0


class Mailer:
    """Raises RetryableError when it may work later, PermanentError when the server says never."""

    def __init__(self, settings: Settings, connections: int = CONNECTIONS, timeout: float = TIMEOUT_SECONDS):
        self._settings = settings
        self._timeout = timeout
        self._free = asyncio.Semaphore(connections)
        self._idle: list[tuple[SMTP, float]] = []

    async def send_confirmation(self, booking_id: str, fields: Mapping[str, Any], *, round_: int = 1) -> str:
        """The Message-ID."""
        return await self._send(confirmation(booking_id, fields, round_))

    async def send_failed(self, booking_id: str, fields: Mapping[str, Any], *, round_: int = 1) -> str:
        return await self._send(failure(booking_id, fields, round_))

    async def send_cancelled(self, booking_id: str, fields: Mapping[str, Any], *, round_: int = 1) -> str:
        return await self._send(cancellation(booking_id, fields, round_))

    async def close(self) -> None:
        while self._idle:
            client, _ = self._idle.pop()
            with suppress(SMTPException, OSError, TimeoutError):
                await client.quit(timeout=1)
            client.close()

    async def _send(self, mail: Mail) -> str:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._free, self._transaction() as client:
                await client.rcpt(mail.to)
                await client.data(mail.encode(self._settings.mail_from))
        except SMTPResponseException as error:
            kind = PermanentError if error.code >= 500 else RetryableError
            raise kind(f"the mail server refused: {error.code} {error.message}") from error
        except (SMTPException, OSError, TimeoutError) as error:
            raise RetryableError(f"the mail could not be sent: {type(error).__name__}") from error
        return mail.message_id

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[SMTP]:
        """A connection that has accepted MAIL FROM. Only one that ends well is used again."""
        client = await self._begin(self._settings.mail_from)
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
