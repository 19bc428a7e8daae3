"""Gives back what was taken for bookings that all their legs left unconfirmed, or that were cancelled: the money, then
the rooms. The guest is told by a mail, in a line and a round of its own: a mail server that is away, or hangs, holds up
neither.

Safe in several replicas and after a crash at any point: a row is leased to one replica, `void` is idempotent by
key and refuses any later charge, the mail's Message-ID folds a second copy, and the ledger ends the row once, for the
round of effects that was paid back and no later one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from booking_queue import logs
from booking_queue.domain.booking import effect_key
from booking_queue.domain.errors import PermanentError
from booking_queue.effects.payment import Void
from booking_queue.ledger.compensation import Compensations
from booking_queue.ledger.ledger import Ledger
from booking_queue.ledger.record import Record
from booking_queue.metrics import Metrics
from booking_queue.tasks import outcomes

TURN_SECONDS = 0.5
BATCH = 20
LEASE_MS = 30_000  # longer than a void, or a mail, may take
LONGEST_WAIT_MS = 60_000

log = logs.get("compensator")


class Voids(Protocol):
    async def void(self, key: str) -> Void: ...


class Mails(Protocol):
    async def send_failed(self, booking_id: str, fields: dict[str, Any], *, round_: int) -> str: ...

    async def send_cancelled(self, booking_id: str, fields: dict[str, Any], *, round_: int) -> str: ...


class Compensator:
    """Call `turn` and `tell` again and again; `paid` cuts the pause of `tell` short."""

    def __init__(self, ledger: Ledger, compensations: Compensations, payments: Voids, mails: Mails, metrics: Metrics):
        self._ledger = ledger
        self._compensations = compensations
        self._payments = payments
        self._mails = mails
        self._metrics = metrics
        self._failed = {what: metrics.compensations_failed.labels(what) for what in ("void", "mail")}
        self.paid = asyncio.Event()  # there are guests to tell

    async def turn(self) -> bool:
        """Gives back. True when there may be more to do now."""
        return await self._each(await self._compensations.take(BATCH, LEASE_MS), "void", self._give_back)

    async def tell(self) -> bool:
        """Those whose money is back. True when there may be more to do now."""
        self.paid.clear()
        return await self._each(await self._compensations.untold(BATCH, LEASE_MS), "mail", self._tell)

    async def _each(self, ids: list[str], what: str, do: Callable[[Record], Awaitable[None]]) -> bool:
        """Ends when all have: none is left at work that a stop would not find."""
        for answer in await outcomes(self._attempt(booking_id, what, do) for booking_id in ids):
            if answer:
                raise answer
        return len(ids) == BATCH

    async def _attempt(self, booking_id: str, what: str, do: Callable[[Record], Awaitable[None]]) -> None:
        record = await self._ledger.get(booking_id)
        if record is None:
            return
        try:
            await do(record)
        except Exception as error:
            tries = await self._compensations.defer(booking_id, record.round, LONGEST_WAIT_MS)
            self._failed[what].inc()
            log.warning("compensation_failed", jobId=booking_id, what=what, tries=tries, why=str(error))

    async def _give_back(self, record: Record) -> None:
        """The money, then the rooms."""
        # Of a cancelled booking in any case: a worker may be about to charge it.
        asked = record.cancel or "payment" in record.effects
        void = await self._payments.void(payment_key(record)) if asked else Void(0)
        result = {"refunded": void.refunded, "mailed": False}
        paid = _was_paid(record, void.refunded)
        if await self._compensations.done(record.id, record.round, result, mail=paid):
            self._metrics.bookings_compensated.inc()
            log.event("booking_compensated", jobId=record.id, refunded=void.refunded)
            if paid:
                self.paid.set()

    async def _tell(self, record: Record) -> None:
        """By a mail. One that is refused for good is not tried again."""
        if "compensation" not in record.effects:
            return  # redriven since it was taken: of the new round there is nothing to tell
        send = self._mails.send_cancelled if record.cancel else self._mails.send_failed
        mailed = True
        try:
            await send(record.id, record.data, round_=record.round)
        except PermanentError as error:
            log.warning("mail_refused", jobId=record.id, why=str(error))
            mailed = False
        await self._compensations.told(record.id, record.round, mailed=mailed)


def _was_paid(record: Record, refunded: int) -> bool:
    """So the guest is to be told."""
    payment = record.effects.get("payment")
    return refunded > 0 or (payment is not None and payment.state == "done")


def payment_key(record: Record) -> str:
    """As the handler charges: every round of effects has a key of its own."""
    return effect_key(record.id, "payment", record.round)
