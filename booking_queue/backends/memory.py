"""The reference backend: a broker in this process's memory, with the ledger where it always is.

It serialises like the others, so that what works here has gone through bytes. Tests use it, and it shows what a
backend has to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from booking_queue.backends.base import Features, Handle, Published
from booking_queue.backends.envelope import Envelope
from booking_queue.backends.memory_broker import MemoryBroker, Message
from booking_queue.backends.slots import Slots
from booking_queue.clock import now_ms
from booking_queue.domain.errors import UnreadableMessage
from booking_queue.domain.job import TERMINAL, Backend, State
from booking_queue.ledger.ledger import Claim, Ledger, LegRef, NotSent, Outgoing
from booking_queue.tasks import outcomes, unless

OVER = {"discarded", "moved or discarded", State.CANCELLING, *TERMINAL}


class MemoryPublisher:
    def __init__(self, ledger: Ledger, broker: MemoryBroker, backend: Backend):
        self.backend = backend
        self.features = Features()
        self._ledger = ledger
        self._broker = broker

    async def open(self) -> None:
        return

    async def close(self) -> None:
        return

    async def publish(self, legs: Sequence[LegRef]) -> list[Published | Exception]:
        return await outcomes(self._publish(leg) for leg in legs)

    async def _publish(self, leg: LegRef) -> Published:
        found = await self._ledger.outgoing(leg, self.backend)
        if isinstance(found, NotSent):
            return Published(leg.job_id, found.state or State.PENDING, found.receipt, found.waits)
        if found.state is State.DEAD:
            self._broker.dead.append({"id": found.job_id, "data": found.data, "error": found.error})
            await self._ledger.published(leg, self.backend, None)
            return Published(leg.job_id, State.DEAD, None)
        delayed = found.due > found.now
        number = self._broker.put(
            self._envelope(leg, found).dump(), found.options.priority, found.due if delayed else 0
        )
        receipt = {"messageId": leg.job_id, "number": number}
        await self._ledger.published(leg, self.backend, receipt, State.DELAYED if delayed else State.QUEUED)
        return Published(leg.job_id, State.DELAYED if delayed else State.QUEUED, receipt)

    @staticmethod
    def _envelope(leg: LegRef, found: Outgoing) -> Envelope:
        return Envelope(
            id=leg.job_id,
            type=found.type,
            data=found.data,
            generation=leg.generation,
            attempt=found.attempt + 1,
            not_before=found.due,
            trace=found.trace,
        )

    async def lookup(self, job_id: str) -> dict[str, Any] | None:
        places = [("waiting", message) for level in self._broker.levels.values() for message in level]
        places += [("delayed", message) for _, _, message in self._broker.due]
        places += [("active", message) for message in self._broker.in_hand.values()]
        for place, message in places:
            if job_id.encode() in message.raw:
                return {"messageId": job_id, "place": place, "number": message.number}
        record = await self._ledger.get(job_id)
        return {"messageId": job_id, "place": "done", **(record.legs[self.backend].receipt or {})} if record else None

    async def stats(self) -> dict[str, Any]:
        waiting = sum(len(level) for level in self._broker.levels.values())
        delayed, active = len(self._broker.due), len(self._broker.in_hand)
        counts = {"waiting": waiting, "delayed": delayed, "active": active, "dead": len(self._broker.dead)}
        scheduled = sum(at > now_ms() for at, _, _ in self._broker.due)
        return {**counts, "backlog": waiting + delayed + active, "scheduled": scheduled}

    async def dead_letters(self, count: int = 100) -> list[dict[str, Any]]:
        return self._broker.dead[: -count - 1 : -1]

    async def redrive(self, job_id: str) -> Published | str:
        leg = await self._ledger.redrive(job_id, self.backend)
        if isinstance(leg, str):
            return leg
        self._broker.dead = [letter for letter in self._broker.dead if letter["id"] != job_id]
        answer = (await self.publish([leg]))[0]
        return answer if isinstance(answer, Published) else Published(job_id, State.PENDING, None)

    async def discard(self, job_id: str) -> str:
        answer = await self._ledger.discard(job_id, self.backend)
        if answer in OVER:
            self._broker.dead = [letter for letter in self._broker.dead if letter["id"] != job_id]
            self._broker.forget(job_id)
        return answer


class MemoryDelivery:
    def __init__(self, message: Message, broker: MemoryBroker, ledger: Ledger, publisher: MemoryPublisher):
        self.envelope = Envelope.load(message.raw)
        self._message = message
        self._hand = message.hand
        self._broker = broker
        self._ledger = ledger
        self._publisher = publisher

    async def extend(self, claim: Claim | None) -> bool:
        if claim and not await self._ledger.extend(claim):
            return False
        if not self._broker.holds(self._message, self._hand):
            return False
        self._message.deadline = asyncio.get_running_loop().time() + self._broker.lease_seconds
        return True

    def _take_off(self) -> None:
        if self._broker.holds(self._message, self._hand):
            del self._broker.in_hand[self._message.number]

    async def ack(self, claim: Claim | None, result: Any = None) -> bool:
        if claim and not await self._ledger.complete(claim, result):
            return False
        self._take_off()
        await self._send_next(claim)
        return True

    async def _send_next(self, claim: Claim | None) -> None:
        if claim:
            await self._publisher.publish(await self._ledger.following(claim))

    async def retry(self, claim: Claim, error: str, delay_ms: int) -> bool:
        leg = await self._ledger.retry(claim, error, delay_ms)
        if leg is None:
            return False
        await self._publisher.publish([leg])  # should it fail, the outbox row stands
        self._take_off()
        return True

    async def bury(self, claim: Claim | None, reason: str, *, killer: bool = False) -> bool:
        if claim is None:
            envelope = self.envelope
            self._broker.dead.append({"id": envelope.id, "data": envelope.data, "error": reason})
        elif await self._ledger.bury(claim, reason, killer=killer):
            await self._publisher.publish([LegRef(claim.job_id, self.envelope.generation)])
            await self._send_next(claim)
        else:
            return False
        self._take_off()
        return True

    async def release(self, claim: Claim | None) -> None:
        released = claim is None or await self._ledger.release(claim)
        if released and self._broker.holds(self._message, self._hand):
            self._broker.give_back(self._message)


class MemoryConsumer:
    def __init__(self, ledger: Ledger, broker: MemoryBroker, backend: Backend):
        self.backend = backend
        self._ledger = ledger
        self._broker = broker
        self._publisher = MemoryPublisher(ledger, broker, backend)

    async def open(self) -> None:
        return

    async def close(self) -> None:
        return

    def details(self) -> dict[str, Any]:
        return {}

    async def run(self, handle: Handle, slots: Slots, stop: asyncio.Event) -> None:
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                await unless(stopped, self._turn(handle, slots))
        finally:
            stopped.cancel()
        await slots.drained()

    async def _turn(self, handle: Handle, slots: Slots) -> None:
        await slots.available()
        message = self._broker.take() if self._broker.up else None
        if message is None:
            self._broker.changed.clear()
            await asyncio.wait({asyncio.create_task(self._broker.changed.wait())}, timeout=0.05)
            return
        try:
            delivery = MemoryDelivery(message, self._broker, self._ledger, self._publisher)
        except UnreadableMessage as error:
            self._broker.in_hand.pop(message.number, None)
            self._broker.dead.append({"id": "", "data": message.raw, "error": str(error)})
            return
        slots.start(handle(delivery))
