"""The inbox of dead letters over all backends: one for each leg that died, newest first."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from api_service.answers import InspectedLetter, LetterAnswer
from api_service.link import Link, Sent
from api_service.listing import canonical, lists_of
from booking_queue import logs
from booking_queue.clock import iso
from booking_queue.domain.errors import BackendUnavailable, InvalidData
from booking_queue.domain.job import Backend, State
from booking_queue.handlers import registry
from booking_queue.ledger.events import EventLog
from booking_queue.ledger.index import Index, Place, name_for
from booking_queue.ledger.ledger import Ledger, LegRef
from booking_queue.ledger.record import Edit, Record
from booking_queue.web.client import Rejected
from booking_queue.web.problems import FieldError, Problem

CHUNK = 100
LOOKED_AT = 1000  # letters that one page may look at for those that match

log = logs.get("dead_letters")


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A letter's place in the inbox. `at`: when it died (ms)."""

    at: int
    job_id: str
    backend: Backend

    @property
    def cursor(self) -> str:
        text = f"{self.at}.{self.backend}.{self.job_id}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def of(cls, cursor: str) -> Mark:
        """Raises ValueError of what is no cursor of ours."""
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            at, backend, job_id = base64.b64decode(padded, altchars=b"-_", validate=True).decode().split(".", 2)
            return cls(int(at[:15]), job_id, Backend(backend))
        except ValueError:
            raise ValueError("is not a cursor of this list") from None


@dataclass(frozen=True, slots=True)
class Letter:
    mark: Mark
    record: Record


@dataclass(frozen=True, slots=True)
class Filter:
    """`tenant`: whose letters; none for everybody's. `q`: an id, a user, a hotel, or a part of the reason."""

    tenant: str = ""
    backend: Backend | None = None
    type: str | None = None
    q: str = ""

    def __call__(self, letter: Letter) -> bool:
        record = letter.record
        if self.type and record.type != self.type:
            return False
        names = (record.id, record.data.get("userId"), record.data.get("hotelId"))
        reason = record.legs[letter.mark.backend].error or ""
        return not self.q or self.q in names or self.q.lower() in reason.lower()


class Inbox:
    def __init__(self, index: Index, ledger: Ledger, events: EventLog, links: Mapping[Backend, Link], deadline: float):
        self._index = index
        self._ledger = ledger
        self._events = events
        self._links = links
        self._deadline = deadline

    async def page(self, wanted: Filter, after: Mark | None, limit: int) -> tuple[list[Letter], Mark | None]:
        """Up to `limit` letters, and where to go on; None at the end. A filtered page may be short before it."""
        found: list[Letter] = []
        for _ in range(0, LOOKED_AT, CHUNK):
            marks = await self._marks(wanted, after, CHUNK)
            records = await self._index.records([Place(mark.at, mark.job_id) for mark in marks])
            for number, (mark, record) in enumerate(zip(marks, records, strict=True), start=1):
                after = mark
                if record and _is_dead(record, mark.backend) and wanted(letter := Letter(mark, record)):
                    found.append(letter)
                if len(found) == limit:
                    return found, after if number < len(marks) or len(marks) == CHUNK else None
            if len(marks) < CHUNK:
                return found, None
        return found, after

    async def _marks(self, wanted: Filter, after: Mark | None, limit: int) -> list[Mark]:
        backends = [wanted.backend] if wanted.backend else list(Backend)
        pages = await asyncio.gather(*(self._marks_of(wanted.tenant, backend, after, limit) for backend in backends))
        return sorted((mark for page in pages for mark in page), reverse=True)[:limit]

    async def _marks_of(self, tenant: str, backend: Backend, after: Mark | None, limit: int) -> list[Mark]:
        place = None
        if after:  # of one job that died on several, the rest may still be to come
            place = Place(after.at, after.job_id + ("\x01" if backend < after.backend else ""))
        places = await self._index.page([name_for(tenant, f"dead:{backend}")], place, limit)
        return [Mark(place.accepted, place.job_id, backend) for place in places]

    async def inspect(self, letter: Letter) -> InspectedLetter | str:
        """All that is known of it; or what became of one that is in the inbox no more."""
        job_id, backend = letter.record.id, letter.mark.backend
        leg = letter.record.legs[backend]
        audit, there = await asyncio.gather(
            self._events.audit(job_id), self._index.has(name_for("", f"dead:{backend}"), job_id)
        )
        timeline = [orjson.loads(entry.json) for entry in audit]
        if not there:
            return _went(timeline, backend)
        return {
            **shown(letter),
            "options": letter.record.options,
            "receipt": leg.receipt,
            "legs": {backend.value: each.state for backend, each in letter.record.legs.items()},
            "timeline": timeline,
        }

    async def redrive(self, job_id: str, backend: Backend, to: Backend, edit: Edit | None = None) -> Sent | str:
        """Where it is now, or why it stays dead: its state, unknown, unreadable, compensating, moved or discarded,
        sold, or not to be edited; or its state on `to`, with ` on ` and that backend."""
        leg = await self._ledger.redrive_as(job_id, backend, to, edit)
        if isinstance(leg, str):
            return leg
        sent = asyncio.create_task(self._publish(leg, to))
        if to is not backend:
            await self._discard_at_broker(job_id, backend)
        return await sent

    async def _publish(self, leg: LegRef, to: Backend) -> Sent:
        with suppress(BackendUnavailable, TimeoutError):  # then the outbox brings it there
            async with asyncio.timeout(self._deadline):
                return await self._links[to].submit(leg)
        return Sent(State.PENDING)

    async def discard(self, job_id: str, backend: Backend) -> str:
        """`discarded`, or why not: its state, unknown, or moved or discarded."""
        outcome = await self._ledger.discard(job_id, backend)
        if outcome == "discarded":
            await self._discard_at_broker(job_id, backend)
        return outcome

    async def forget(self, job_id: str, backends: Iterable[Backend]) -> None:
        """A cancelled job's messages are dropped when they are read; what would lie there till its time goes now. What
        stays, because that service is away, its broker's workers take off (`rq_prune`, `stream_prune`)."""
        await asyncio.gather(*(self._discard_at_broker(job_id, backend) for backend in backends))

    async def _discard_at_broker(self, job_id: str, backend: Backend) -> None:
        try:
            await self._links[backend].client.delete(f"/dead-letters/{quote(job_id, safe='')}", deadline=self._deadline)
        except Rejected:
            pass  # it is no dead letter; what the broker held of it is gone all the same
        except BackendUnavailable as error:  # of a letter, its broker's retention takes it away
            log.warning("letter_stays_at_broker", jobId=job_id, backend=backend, why=str(error))


def _is_dead(record: Record, backend: Backend) -> bool:
    leg = record.legs.get(backend)
    return leg is not None and leg.state is State.DEAD


def _went(timeline: list[dict[str, Any]], backend: Backend) -> str:
    match [each for each in timeline if each.get("backend") == backend][-1:]:
        case [{"event": "moved", "to": to}]:
            return f"moved to {to}"
        case [{"event": "discarded"}]:
            return "discarded"
    return "moved or discarded"  # so long ago that its timeline tells it no more


def edit(record: Record, kind: str, data: dict[str, Any]) -> Edit:
    """Raises Problem and InvalidData of what is no job."""
    kept = _fitting(kind, data)
    return Edit(kind, kept, _lists(record, record.type, record.data), _lists(record, kind, kept))


def _fitting(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """As the job's type writes it: by the names that its lists and its readers know."""
    handler = registry().get(kind)
    if handler is None:
        error = FieldError("type", f"must name what the data is: one of {', '.join(sorted(registry()))}", "missing")
        raise Problem(400, f"{error.field}: {error.message}", errors=[error])
    try:
        payload = handler.parse(data)
    except InvalidData as error:
        raise InvalidData({f"data.{name}": why for name, why in error.fields.items()}) from None
    return payload.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _lists(record: Record, kind: str, data: dict[str, Any]) -> tuple[str, ...]:
    """Of bookings, which go by an id of ours: what came to a broker under another is in the inbox alone."""
    if kind != "booking" or canonical(record.id) is None:
        return ()
    return lists_of(str(data.get("userId")), str(data.get("hotelId")), record.tenant)


def shown(letter: Letter) -> LetterAnswer:
    record, backend = letter.record, letter.mark.backend
    leg = record.legs[backend]
    return {
        "id": record.id,
        "backend": backend,
        "type": record.type,
        "error": leg.error,
        "attempts": leg.attempts,
        "redrives": leg.redrives,
        "failedAt": iso(leg.finished),
        "createdAt": iso(record.created),
        "step": leg.step or None,
        "worker": leg.worker or None,
        "data": record.data,
        "readable": record.type in registry() and record.kind != "letter",
        "links": {"self": f"/api/dead-letters/{backend}/{quote(record.id, safe='')}"},
    }
