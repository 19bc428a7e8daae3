"""Background work: a turn, a pause, until the service stops."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from booking_queue import logs
from booking_queue.domain.errors import BackendUnavailable, LedgerUnavailable
from booking_queue.tasks import end

log = logs.get("rounds")

Turn = Callable[[], Awaitable[bool | None]]
"""True: there is more to do."""


async def rounds(  # noqa: PLR0913 - the rest by name
    name: str,
    turn: Turn,
    seconds: float,
    stop: asyncio.Event,
    *,
    busy_seconds: float = 0,
    wake: asyncio.Event | None = None,
) -> None:
    """Turns with a pause of about `seconds` between them (`busy_seconds` while there is more to do), cut short by
    `wake`. No error ends it."""
    quiet = False  # an outage is told once, not at every turn
    while not stop.is_set():
        more: bool | None = False
        try:
            more = await turn()
            quiet = False
        except LedgerUnavailable as error:
            if not quiet:
                log.warning("round_failed", round=name, why=str(error))
            quiet = True
        except BackendUnavailable:
            pass  # its link tells when it fails and when it works again
        except Exception as error:
            log.error("round_failed", exc=error, round=name)
        if more:
            await asyncio.sleep(busy_seconds)
        else:
            await _pause(seconds * random.uniform(0.75, 1.25), stop, wake)


async def _pause(seconds: float, stop: asyncio.Event, wake: asyncio.Event | None) -> None:
    waits = [asyncio.create_task(event.wait()) for event in (stop, wake) if event]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def until_stopped(tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Lets the turns under way end, for so long; then cuts them off."""
    if not tasks:
        return
    await asyncio.wait(tasks, timeout=seconds)
    await end(*tasks)
