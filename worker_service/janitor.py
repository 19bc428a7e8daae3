"""Removes what nobody needs any more: papers older than the ledger's memory of them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from booking_queue import logs
from booking_queue.effects.documents import Documents

EVERY_SECONDS = 3600

log = logs.get("worker")


async def run(documents: Documents, retention_seconds: int, stop: asyncio.Event) -> None:
    """Every hour until `stop`. Several workers may do it: a paper that is gone already is no error."""
    while not stop.is_set():
        try:
            await asyncio.to_thread(documents.sweep, retention_seconds)
        except OSError as error:
            log.warning("sweep_failed", exc=error)
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY_SECONDS):
                await stop.wait()
