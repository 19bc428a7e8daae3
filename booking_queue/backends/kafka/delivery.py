"""One record in hand. Its offset may be committed once it is `done`; until then Kafka delivers it again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from booking_queue import logs
from booking_queue.backends.envelope import Envelope
from booking_queue.backends.kafka.letters import Origin
from booking_queue.backends.kafka.outbound import Outbound
from booking_queue.domain.errors import BackendUnavailable, BookingQueueError, LedgerUnavailable
from booking_queue.ledger.ledger import Claim, Ledger, LegRef

AGAIN_SECONDS = 0.5

log = logs.get("kafka")


class KafkaDelivery:
    """`ours` tells whether the record's partition still is."""

    __slots__ = ("_ledger", "_origin", "_ours", "_outbound", "done", "envelope")

    def __init__(
        self,
        envelope: Envelope,
        origin: Callable[[], Origin],
        ledger: Ledger,
        outbound: Outbound,
        ours: Callable[[], bool],
    ):
        self.envelope = envelope
        self.done = False
        self._origin = origin
        self._ledger = ledger
        self._outbound = outbound
        self._ours = ours

    async def extend(self, claim: Claim | None) -> bool:
        """Running work goes on under its lease, whoever has the partition; what only waits is the new owner's."""
        return self._ours() if claim is None else await self._ledger.extend(claim)

    async def ack(self, claim: Claim | None, result: Any = None) -> bool:
        self.done = claim is None or await self._ledger.complete(claim, result)
        await self._send_next(claim)
        return self.done

    async def _send_next(self, claim: Claim | None) -> None:
        """What it let go on need not wait for the gateway's turn; should that fail, it does."""
        if claim is None:
            return
        try:
            for leg in await self._ledger.following(claim):
                await self._outbound.send(leg)
        except BookingQueueError as error:
            log.warning("left_to_the_outbox", after=claim.job_id, why=str(error))

    async def retry(self, claim: Claim, error: str, delay_ms: int) -> bool:
        leg = await self._ledger.retry(claim, error, self._outbound.delay(delay_ms))
        if leg:
            await self._hand_over(leg)
        return leg is not None

    async def bury(self, claim: Claim | None, reason: str, *, killer: bool = False) -> bool:
        if claim is None:
            self.done = await bury_raw(self._outbound, self._origin(), reason, self._ours)
        elif await self._ledger.bury(claim, reason, killer=killer):
            await self._hand_over(LegRef(claim.job_id, self.envelope.generation))
            await self._send_next(claim)
        return self.done

    async def _hand_over(self, leg: LegRef) -> None:
        """The outbox row stands until the next copy is sent, so this one is done with whether or not that works."""
        self.done = True
        try:
            await self._outbound.send(leg, self._origin())
        except LedgerUnavailable as error:
            log.warning("left_to_the_outbox", jobId=leg.job_id, why=str(error))

    async def release(self, claim: Claim | None) -> None:
        if claim:
            await self._ledger.release(claim)


async def bury_raw(outbound: Outbound, origin: Origin, reason: str, ours: Callable[[], bool]) -> bool:
    """No row stands for it, so it stays here until the dead topic has it. False: the partition's next owner does it.

    The note is idempotent and comes first: a letter that is sent again is one more."""
    while ours():
        try:
            await outbound.note_letter(origin, reason)
            await outbound.letter(origin, reason)
        except (BackendUnavailable, LedgerUnavailable):
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            return True
    return False
