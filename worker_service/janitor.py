"""Removes what nobody needs any more: papers that the ledger no longer knows of."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from booking_queue import logs
from booking_queue.domain.booking import booking_of
from booking_queue.effects.documents import Documents
from booking_queue.ledger.ledger import Ledger

EVERY_SECONDS = 3600

log = logs.get("worker")


async def run(documents: Documents, ledger: Ledger, retention_seconds: int, stop: asyncio.Event) -> None:
    """Every hour until `stop`, whatever fails. Several workers may do it: a paper that is gone already is no error."""
    while not stop.is_set():
        try:
            await sweep(documents, ledger, retention_seconds)
        except Exception as error:
            log.warning("sweep_failed", exc=error)
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY_SECONDS):
                await stop.wait()


async def sweep(documents: Documents, ledger: Ledger, retention_seconds: int) -> int:
    async def needed(key: str) -> bool:
        return await ledger.get(booking_of(key)) is not None

    return await documents.sweep(retention_seconds, needed)
