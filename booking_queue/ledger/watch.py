"""Word that an effect was done, for legs that wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from redis.asyncio import Redis

from booking_queue.settings import Settings

RETRY_SECONDS = 1.0


class Woken:
    def __init__(self) -> None:
        self.event = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.event.wait()


class EffectWatch:
    """One subscription a process. It may miss a word (a lost connection): who waits sets a limit and looks again."""

    def __init__(self, redis: Redis, settings: Settings):
        self._redis = redis
        self._channel = f"{settings.key_prefix}:effects"
        self._waiting: dict[str, set[Woken]] = {}

    @contextmanager
    def interest(self, job_id: str) -> Iterator[Woken]:
        """Taken before asking for the effect, so that no word can fall between the question and the wait."""
        woken = Woken()
        self._waiting.setdefault(job_id, set()).add(woken)
        try:
            yield woken
        finally:
            others = self._waiting[job_id]
            others.discard(woken)
            if not others:
                del self._waiting[job_id]

    def wake(self, job_id: str) -> None:
        for woken in self._waiting.get(job_id, ()):
            woken.event.set()

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(self._channel)
                    while not stop.is_set():
                        message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=1.0)
                        if message:
                            self.wake(message["data"].decode())
            except Exception:  # what anybody may publish there is no text, perhaps
                with suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_SECONDS):
                        await stop.wait()
