"""Closing what aiokafka has opened: it waits without a limit, and may raise the CancelledError of a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from booking_queue.tasks import end


async def closed(closing: Coroutine[Any, Any, None], seconds: float) -> bool:
    """False: it did not come to its end."""
    task = asyncio.create_task(closing)
    try:
        await asyncio.wait({task}, timeout=seconds)
        return task.done() and not task.cancelled() and task.exception() is None
    finally:
        await end(task)
