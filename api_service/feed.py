"""Live events: one reader a process, however many clients follow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from typing import Any

import orjson

from booking_queue import logs
from booking_queue.clock import iso
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.ledger.events import AUDIT_KEPT, START, Entry, EventLog, Position, position
from booking_queue.web.sse import Event

BLOCK_MS = 2000
READ = 1000  # events at a time
MISSED = 100  # of the past, which each client reads for itself
REST_SECONDS = 0.02  # between two reads while events come: clients are written to ten times a second at most
RETRY_SECONDS = 0.5
WAITING = 10_000  # events that a client may leave lying; one more and it is told to read the state again

ALL = "all"  # beside `job:` and an id, `tenant:` and a tenant

LATEST = 253_402_300_799_999  # ms: the year 9999 ends

RESET = Event(None, "reset", "{}")

log = logs.get("feed")


class Follower:
    """What one client has still to be given."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Position, Event]] = deque()
        self.lost = False
        self.wake = asyncio.Event()

    def give(self, given: tuple[Position, Event]) -> None:
        """One that all followers have in common."""
        if len(self.waiting) >= WAITING:
            self.lose()
        self.waiting.append(given)
        self.wake.set()

    def lose(self) -> None:
        self.waiting.clear()
        self.lost = True
        self.wake.set()

    async def next(self, after: Position | None) -> Event:
        """The next one given that is not known up to `after`."""
        while True:
            if self.lost:
                self.lost = False
                return RESET
            if not self.waiting:
                self.wake.clear()
                await self.wake.wait()
                continue
            at, event = self.waiting.popleft()
            if after is None or at > after:
                return event


class Feed:
    def __init__(self, events: EventLog):
        self._events = events
        self._by_topic: dict[str, set[Follower]] = {}
        self._at: Position | None = None  # how far it was read; None while nobody follows
        self._anyone = asyncio.Event()
        self.followers = 0

    async def resumable(self, last_event_id: str) -> bool:
        """Whether nothing was cut off since; '' begins now, so nothing is. Raises LedgerUnavailable."""
        if not last_event_id:
            await self._events.end()
            return True
        at = position(last_event_id)
        return at is not None and await self._events.kept_since(at)

    async def everything(self, last_event_id: str, *, reset: bool, tenant: str = "") -> AsyncIterator[Event]:
        """All events from now on, after those missed since `last_event_id`; none of those with `reset`. Of a tenant,
        its own."""
        topic = f"tenant:{tenant}" if tenant else ALL
        follower = await self._join(topic)
        try:
            if reset:
                yield RESET
            since = None if reset else position(last_event_id)
            while since and not follower.lost:
                missed = await self._events.after(since, MISSED)
                if not await self._events.kept_since(since):  # a slow client is overtaken by what is cut off
                    follower.lose()
                    break
                for entry in missed:
                    detail = _detail(entry)
                    if detail and (not tenant or detail.get("tenant") == tenant):
                        yield _event(entry, detail)
                since = missed[-1].at if missed else since
                if len(missed) < MISSED or (follower.waiting and since >= follower.waiting[0][0]):
                    break
            while True:
                yield await follower.next(since)
        finally:
            self._leave(topic, follower)

    async def of_job(self, job_id: str, last_event_id: str) -> AsyncIterator[Event]:
        """The job's own events, from its first one or from `last_event_id` on."""
        topic = f"job:{job_id}"
        follower = await self._join(topic)
        try:
            audit = await self._events.audit(job_id)
            since = position(last_event_id) if last_event_id else START
            if not _covers(audit, since):
                since = None
                yield RESET
            for entry in audit:
                if (since is None or entry.at > since) and (detail := _detail(entry)):
                    yield _event(entry, detail)
            since = audit[-1].at if audit else since
            while True:
                yield await follower.next(since)
        finally:
            self._leave(topic, follower)

    async def _join(self, topic: str) -> Follower:
        """From here on it is given all that comes, so that whoever then reads the past misses nothing."""
        if self._at is None:
            end = await self._events.end()
            self._at = self._at or end
        follower = Follower()
        self._by_topic.setdefault(topic, set()).add(follower)
        self.followers += 1
        self._anyone.set()
        return follower

    def _leave(self, topic: str, follower: Follower) -> None:
        self.followers -= 1
        others = self._by_topic[topic]
        others.discard(follower)
        if not others:
            del self._by_topic[topic]

    async def run(self) -> None:
        """Reads as long as anybody follows. Ends by being cancelled."""
        doubt = False
        while True:
            if not self.followers:
                self._at = None
                self._anyone.clear()
                await self._anyone.wait()
            try:
                doubt = await self._read(doubt)
            except LedgerUnavailable:
                doubt = True
                await asyncio.sleep(RETRY_SECONDS)
            except Exception as error:
                log.error("feed_failed", exc=error)
                doubt = True
                await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, doubt: bool) -> bool:
        """`doubt`: events may have been cut off unread, because we were away or are behind."""
        at = self._at or await self._events.end()
        if doubt and not await self._events.kept_since(at):
            log.warning("feed_lost_events", followers=self.followers)
            at = self._at = await self._events.end()  # first: what comes after a client has read the state is given
            for follower in self._all():
                follower.lose()
        found = await self._events.wait(at, READ, BLOCK_MS)
        if found:
            self._at = found[-1].at
            self._give(found)
            await asyncio.sleep(REST_SECONDS)
        return len(found) == READ

    def _all(self) -> Iterator[Follower]:
        return (follower for followers in self._by_topic.values() for follower in followers)

    def _give(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            detail = _detail(entry)
            if detail is None:
                log.warning("feed_no_event", id=entry.id)
                continue
            topics = (ALL, f"job:{detail['jobId']}", f"tenant:{detail.get('tenant', '')}")
            followers = [follower for topic in topics for follower in self._by_topic.get(topic, ())]
            if followers:
                given = entry.at, _event(entry, detail)
                for follower in followers:
                    follower.give(given)


def _covers(audit: Sequence[Entry], since: Position | None) -> bool:
    if since is None or not audit or since > audit[-1].at:
        return False
    return len(audit) < AUDIT_KEPT or since >= audit[0].at


def _detail(entry: Entry) -> dict[str, Any] | None:
    """None of what is no event: who has Redis may write there, too, and no other's event is to be lost for it."""
    with suppress(ValueError):
        detail: dict[str, Any] = orjson.loads(entry.json)
        match detail:
            case {"jobId": str(), "event": str(), "at": int() | float() as at} if 0 <= at <= LATEST:
                return detail
    return None


def _event(entry: Entry, detail: dict[str, Any]) -> Event:
    """As a CloudEvent."""
    envelope = {
        "specversion": "1.0",
        "id": entry.id,
        "source": "/booking-queue",
        "type": f"booking-queue.{detail['event']}",
        "subject": detail["jobId"],
        "time": iso(detail["at"]),
        "datacontenttype": "application/json",
        "data": detail,
    }
    return Event(entry.id, None, orjson.dumps(envelope).decode())
