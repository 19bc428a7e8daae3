"""Ending background tasks, and waiting for some."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable
from typing import Any, TypeVar

AGAIN_SECONDS = 0.2

T = TypeVar("T")


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancels the tasks and returns when all are done, whatever they raise.

    Cancels again and again: a library may swallow one cancellation (redis-py can, while it connects).
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()


async def unless(stopped: asyncio.Task[Any], waiting: Coroutine[Any, Any, T]) -> T | None:
    """What `waiting` gives; None, and `waiting` ended, once `stopped` is done."""
    task = asyncio.create_task(waiting)
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        came_first = task.done()
    finally:
        await end(task)
    return task.result() if came_first and not task.cancelled() else None  # aiokafka raises cancellations of its own


async def outcomes(calls: Iterable[Awaitable[T]]) -> list[T | Exception]:
    """What each gives or raises, in their order. A cancellation, or the like, is raised."""
    found: list[T | Exception] = []
    for answer in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(answer, BaseException) and not isinstance(answer, Exception):
            raise answer
        found.append(answer)
    return found
