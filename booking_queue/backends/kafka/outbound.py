"""From the ledger to Kafka: what a leg needs now, produced, and its place noted."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from booking_queue.backends.base import Published
from booking_queue.backends.envelope import Envelope
from booking_queue.backends.kafka.letters import KEY_BYTES, VALUE_BYTES, Headers, Origin, letter_headers
from booking_queue.backends.kafka.sender import Sender, Sent
from booking_queue.backends.kafka.topics import Topics
from booking_queue.clock import now_ms
from booking_queue.domain.errors import BackendUnavailable, LedgerUnavailable
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.ledger import Ledger, LegRef, NotSent, Outgoing

KAFKA = Backend.KAFKA


class Outbound:
    def __init__(self, ledger: Ledger, topics: Topics, sender: Sender):
        self._ledger = ledger
        self._topics = topics
        self._sender = sender
        self._noting: set[asyncio.Task[None]] = set()

    def delay(self, wait_ms: int) -> int:
        """How long a retry that is to wait so long will: as long as the topic that it goes to waits."""
        retry = self._topics.retry_for(wait_ms) if wait_ms > 0 else None
        return retry[1] if retry else wait_ms

    async def send(self, leg: LegRef, origin: Origin | None = None) -> Published:
        """Idempotent by (job id, generation). `origin`: the message that is retried or buried, where it is at hand."""
        found = await self._ledger.outgoing(leg, KAFKA)
        if isinstance(found, NotSent):
            return Published(leg.job_id, found.state or State.PENDING, found.receipt, found.waits)
        try:
            if found.state is State.DEAD:
                return await self._letter(leg, found, origin)
            if found.state.terminal:
                await self._ledger.published(leg, KAFKA, None)
                return Published(leg.job_id, found.state, None)
            wait = found.due - found.now
            if wait <= 0:
                return await self._message(leg, found)
            if found.state is State.RETRYING and (retry := self._topics.retry_for(wait)):
                return await self._retry(leg, found, *retry, origin)
        except BackendUnavailable:
            return Published(leg.job_id, State.PENDING, None)
        await self._ledger.postpone(leg, KAFKA)
        put_off = State.RETRYING if found.state is State.RETRYING else State.DELAYED
        return Published(leg.job_id, put_off, None, waits=True)

    async def _message(self, leg: LegRef, found: Outgoing) -> Published:
        envelope = _envelope(leg, found, 0)

        def receipt(sent: Sent) -> dict[str, Any]:
            return {
                "messageId": leg.job_id,
                "topic": sent.topic,
                "partition": sent.partition,
                "offset": sent.offset,
                "timestamp": sent.timestamp,
            }

        def late(sent: Sent) -> None:
            self._note_later(self._ledger.published(leg, KAFKA, receipt(sent)))

        topic = self._topics.levels[found.options.priority]
        headers = _headers(envelope, found)
        place = receipt(await self._sender.send(topic, _key(leg, found), envelope.dump(), headers, late))
        await self._ledger.published(leg, KAFKA, place)
        return Published(leg.job_id, State.QUEUED, place)

    async def _retry(self, leg: LegRef, found: Outgoing, topic: str, waits: int, origin: Origin | None) -> Published:
        """Its time is rounded up to the topic's delay, so that the head of a partition is always due first."""
        envelope = _envelope(leg, found, found.now + waits)
        place = (origin or await self._origin(leg.job_id)).place()
        key = origin.key if origin else _key(leg, found)

        def late(_: Sent) -> None:
            self._note_later(self._ledger.published(leg, KAFKA, None, State.RETRYING))

        await self._sender.send(topic, key, envelope.dump(), [*_headers(envelope, found), *place], late)
        await self._ledger.published(leg, KAFKA, None, State.RETRYING)
        return Published(leg.job_id, State.RETRYING, None)

    def _note_later(self, note: Coroutine[Any, Any, None]) -> None:
        """The confirmation came after its deadline: the row need not be sent again."""

        async def noted() -> None:
            with suppress(LedgerUnavailable):
                await note

        task = asyncio.create_task(noted())
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _letter(self, leg: LegRef, found: Outgoing, origin: Origin | None) -> Published:
        if origin is None:
            envelope = _envelope(leg, found, 0)
            known = await self._origin(leg.job_id)
            key, headers = _key(leg, found), _headers(envelope, found)
            origin = Origin(known.topic, known.partition, known.offset, key, envelope.dump(), headers)
        await self.letter(origin, found.error or "", found.now)
        await self._ledger.published(leg, KAFKA, None)
        return Published(leg.job_id, State.DEAD, None)

    async def letter(self, origin: Origin, reason: str, failed_at: int | None = None) -> None:
        """Raises BackendUnavailable while the dead topic has not confirmed it."""
        headers = letter_headers(origin, reason, failed_at or now_ms())
        value = origin.value[:VALUE_BYTES] if origin.value else origin.value
        key = origin.key[:KEY_BYTES] if origin.key else (None if value else b"")  # Kafka takes none without both
        await self._sender.send(self._topics.dead, key, value, headers)

    async def note_letter(self, origin: Origin, reason: str) -> None:
        """For the inbox of dead letters: what has no record gets one of its own."""
        kind = next((value for name, value in origin.headers if name == "type"), b"").decode(errors="replace")[:50]
        place = f"{origin.topic}-{origin.partition}-{origin.offset}"
        await self._ledger.letter(place, KAFKA, kind, origin.value or b"", reason)

    async def _origin(self, job_id: str) -> Origin:
        record = await self._ledger.get(job_id)
        leg = record.legs.get(KAFKA) if record else None
        receipt = (leg.receipt if leg else None) or {}
        offset = receipt.get("offset")
        return Origin(
            receipt.get("topic", self._topics.main),
            receipt.get("partition", -1),
            -1 if offset is None else offset,
            None,
            None,
            (),
        )


def _key(leg: LegRef, found: Outgoing) -> bytes:
    """Jobs of one ordering key go to one partition, where they are read in order, and run one after the other."""
    return (found.order or leg.job_id).encode()


def _envelope(leg: LegRef, found: Outgoing, not_before: int) -> Envelope:
    return Envelope(
        id=leg.job_id,
        type=found.type,
        data=found.data,
        generation=leg.generation,
        attempt=found.attempt + 1,
        not_before=not_before,
        trace=found.trace,
    )


def _headers(envelope: Envelope, found: Outgoing) -> Headers:
    headers = [
        ("messageId", envelope.id.encode()),
        ("type", envelope.type.encode()),
        ("generation", str(envelope.generation).encode()),
        ("attempt", str(envelope.attempt).encode()),
        ("priority", found.options.priority.name.lower().encode()),
    ]
    if envelope.trace:
        headers.append(("traceparent", envelope.trace.encode()))
    if envelope.not_before:
        headers.append(("not-before", str(envelope.not_before).encode()))
    return headers
