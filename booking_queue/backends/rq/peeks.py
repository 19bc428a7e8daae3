"""Word that a queue has something, by BLMOVE from a list's head to its head: it blocks, and it moves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.exceptions import RedisError

from booking_queue.ledger.connection import connect
from booking_queue.settings import Settings

BLOCK_SECONDS = 10
ANSWER_SECONDS = BLOCK_SECONDS + 5.0  # longer than the block, or redis-py takes waiting for an outage
AWAY_SECONDS = 1.0


class Peeks:
    """A connection a queue. They peek only while somebody waits: a busy consumer needs no word."""

    def __init__(self, settings: Settings, keys: Sequence[str]):
        self._redis = connect(settings, connections=len(keys), answer_seconds=ANSWER_SECONDS)
        self._keys = keys
        self._wanted = asyncio.Event()
        self._word = asyncio.Event()

    def start(self) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._peek(key)) for key in self._keys]

    async def close(self) -> None:
        await self._redis.aclose()

    async def _peek(self, key: str) -> None:
        while True:
            await self._wanted.wait()
            try:
                if await self._redis.blmove(key, key, BLOCK_SECONDS, "LEFT", "LEFT"):
                    self._word.set()
            except (RedisError, OSError):
                await asyncio.sleep(AWAY_SECONDS)

    async def wait(self, stop: asyncio.Event, seconds: float) -> None:
        """Until a queue has something, or `seconds`. What came since the last look is found: a peek at a list that
        is not empty answers at once."""
        self._word.clear()
        self._wanted.set()
        try:
            await first(self._word.wait(), stop, seconds)
        finally:
            self._wanted.clear()


async def first(wait: Any, stop: asyncio.Event, seconds: float | None = None) -> None:
    """Until it is done, or `stop` is set, or `seconds`."""
    tasks = [asyncio.ensure_future(wait), asyncio.ensure_future(stop.wait())]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
