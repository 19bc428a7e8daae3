"""Puts legs of the ledger onto the streams, and tells what is there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson

from booking_queue.backends.base import Features, Published
from booking_queue.backends.stream import views
from booking_queue.backends.stream.names import Names
from booking_queue.domain.errors import BookingQueueError, LedgerUnavailable
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.ledger import Ledger, LegRef, text
from booking_queue.ledger.pressure import admitted
from booking_queue.ledger.record import Record
from booking_queue.ledger.script import Answer, Scripts
from booking_queue.settings import Settings
from booking_queue.tasks import outcomes


class UnknownJob(BookingQueueError):
    """The ledger has no such job on this backend."""


class GroupBusy(BookingQueueError):
    """Not while it has pending entries, and never the workers' own."""


class StreamPublisher:
    backend = Backend.STREAMS
    features = Features()

    def __init__(self, scripts: Scripts, settings: Settings):
        self._scripts = scripts
        self._ledger = Ledger(scripts)
        self.names = Names(settings)

    async def open(self) -> None:
        with suppress(LedgerUnavailable):
            await self._scripts.call("stream_open")

    async def close(self) -> None:
        """Nothing is held."""

    async def publish(self, legs: Sequence[LegRef]) -> list[Published | Exception]:
        return await outcomes(self._publish(leg) for leg in legs)

    async def _publish(self, leg: LegRef) -> Published:
        answer = await self._scripts.call("stream_publish", leg.job_id, leg.generation)
        if answer[0] == b"unknown":
            raise UnknownJob(leg.job_id)
        return _published(leg.job_id, answer)

    async def lookup(self, job_id: str) -> dict[str, Any] | None:
        answer = await self._scripts.call("stream_lookup", job_id)
        return views.place(answer) if answer else None

    async def message(self, any_id: str) -> Record | None:
        """Of a message's id, or of any stream id that it ever had."""
        (job_id,) = await self._scripts.call("stream_resolve", any_id)
        record = await self._ledger.get(text(job_id)) if job_id else None
        return record if record and self.backend in record.legs else None

    async def messages(self, count: int = 10) -> list[dict[str, Any]]:
        """Newest first over all levels, processed ones too."""
        return views.messages(await self._scripts.call("stream_messages", count), count)

    async def stats(self) -> dict[str, Any]:
        return views.stats(self.names, await self._scripts.call("stream_stats"))

    async def dead_letters(self, count: int = 100) -> list[dict[str, Any]]:
        return views.letters(await self._scripts.call("stream_letters", count))

    async def redrive(self, job_id: str) -> Published | str:
        answer = admitted(await self._scripts.call("stream_redrive", job_id))
        return _published(job_id, answer) if len(answer) > 1 else text(answer[0])

    async def discard(self, job_id: str) -> str:
        return text((await self._scripts.call("stream_discard", job_id))[0])

    async def pending(self, count: int = 100) -> list[list[Any]]:
        """[stream id, consumer, idle ms, deliveries], most urgent level first."""
        return views.pending(await self._scripts.call("stream_pending", count))[:count]

    async def consumers(self) -> list[dict[str, Any]]:
        return views.consumers(await self._scripts.call("stream_consumers"))

    async def groups(self) -> list[dict[str, Any]]:
        return views.groups(await self._scripts.call("stream_groups"))

    async def create_group(self, name: str, start: str) -> bool:
        """On every level. False when there is one of that name."""
        return bool((await self._scripts.call("stream_group_create", name, start))[0])

    async def delete_group(self, name: str) -> bool:
        """False when there is none. Raises GroupBusy."""
        answer = await self._scripts.call("stream_group_delete", name)
        match answer[0]:
            case b"own":
                raise GroupBusy(f"{name} is the workers' own group: without it nothing would run")
            case b"pending":
                raise GroupBusy(f"{name} has pending entries: {answer[1]}")
        return bool(answer[0] == b"gone")


def _published(job_id: str, answer: Answer) -> Published:
    why, state, receipt = answer
    return Published(job_id, State(text(state)), orjson.loads(receipt) if receipt else None, waits=why == b"waits")
