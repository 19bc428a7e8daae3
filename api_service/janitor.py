"""Takes away what nothing needs any more: holds that ran out, list entries whose record is gone."""

from __future__ import annotations

import asyncio
from collections import deque

from booking_queue import logs
from booking_queue.ledger.index import Index
from booking_queue.ledger.rooms import Rooms

HOLDS_SECONDS = 1.0
HOLDS = 100
INDEX_SECONDS = 2.0
INDEX_BUSY_SECONDS = 0.05
INDICES = 8  # at a time, and
INDEX_ENTRIES = 250  # of each: about 2 ms of Redis

log = logs.get("janitor")


class Janitor:
    """Safe in several replicas: each of its removals is harmless a second time."""

    def __init__(self, rooms: Rooms, index: Index):
        self._rooms = rooms
        self._index = index
        self._cursor = 0
        self._places: deque[tuple[str, int]] = deque()

    async def holds(self) -> bool:
        return len(await self._rooms.expire_holds(HOLDS)) == HOLDS

    async def index(self) -> bool:
        """A bounded step through all the indices, each from its oldest entry on. True when it found any to take out."""
        if not self._places:
            self._cursor, names = await self._index.names(self._cursor)
            self._places.extend((name, 0) for name in dict.fromkeys(names))
        step = [self._places.popleft() for _ in range(min(INDICES, len(self._places)))]
        swept = await asyncio.gather(*(self._index.sweep(name, offset, INDEX_ENTRIES) for name, offset in step))
        self._places.extendleft(
            (name, after) for (name, _), (after, _) in zip(step, swept, strict=True) if after is not None
        )
        gone = sum(gone for _, gone in swept)
        if gone:
            log.event("index_swept", entries=gone)
        return gone > 0
