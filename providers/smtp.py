"""The SMTP side of the mail catcher."""

from __future__ import annotations

import asyncio
from typing import cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from booking_queue.web.problems import Problem
from providers.faults import Faults
from providers.inbox import deliver
from providers.store import Store

MAX_BYTES = 1024 * 1024
MAX_RECIPIENTS = 50
MAX_CONNECTIONS = 200
TIMEOUT_SECONDS = 120


class Catcher:
    """aiosmtpd's handler: its method names are aiosmtpd's."""

    def __init__(self, store: Store, faults: Faults):
        self.store = store
        self.faults = faults

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        if len(address) > 320:
            return "553 5.1.3 The address is too long"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        fate = self.faults.mail()
        if fate.delay:
            await asyncio.sleep(fate.delay)
        content = envelope.content or b""
        raw = content.encode() if isinstance(content, str) else content
        sender, recipients = envelope.mail_from or "", list(envelope.rcpt_tos)
        try:
            await self.store.write(lambda db: deliver(db, sender, recipients, raw, fate))
        except Problem:
            return "452 4.3.1 No room at the moment"
        if fate.fail:
            return "451 4.3.0 Failed, as the faults ask"
        if fate.lose and server.transport:
            cast(asyncio.WriteTransport, server.transport).abort()  # uvloop's is one without being a subclass
        return "250 OK"


class Connection(SMTP):
    def __init__(self, service: SmtpService):
        self.service = service
        super().__init__(
            service.catcher,
            data_size_limit=MAX_BYTES,
            enable_SMTPUTF8=True,
            hostname="providers",
            ident="booking-queue mail catcher",
            timeout=TIMEOUT_SECONDS,
            loop=asyncio.get_running_loop(),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.service.transports.add(transport)
        super().connection_made(transport)
        if len(self.service.transports) > MAX_CONNECTIONS:
            transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport:
            self.service.transports.discard(self.transport)
        super().connection_lost(error)


class SmtpService:
    def __init__(self, catcher: Catcher):
        self.catcher = catcher
        self.transports: set[asyncio.BaseTransport] = set()

    def connection(self) -> Connection:
        return Connection(self)

    def close(self) -> None:
        for transport in list(self.transports):
            transport.close()
