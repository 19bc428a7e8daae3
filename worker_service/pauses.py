"""Keeps a paused backend from being read: its jobs stay where every worker can reach them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from booking_queue import logs
from booking_queue.backends.slots import Slots
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.domain.job import Backend
from booking_queue.ledger.limits import Limit, Limits

LOOK_SECONDS = 1.0

log = logs.get("worker")


async def follow(limits: Limits, slots: Mapping[Backend, Slots], finished: asyncio.Event) -> None:
    """Until `finished`, whatever fails. The ledger refuses claims of a paused backend at once; this ends the asking."""
    paused: set[Backend] = set()
    while not finished.is_set():
        try:
            found = await limits.all()
            now = {backend for backend in slots if found.get(backend, Limit()).paused}
            for backend in now ^ paused:
                slots[backend].pause(backend in now)
                log.event("backend_paused" if backend in now else "backend_resumed", backend=backend)
            paused = now
        except LedgerUnavailable:
            pass  # claims tell it
        except Exception as error:
            log.error("pauses_unread", exc=error)
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await finished.wait()
