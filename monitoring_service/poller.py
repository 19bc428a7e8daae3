"""Asks each source in its own rhythm, so that a slow or dead one costs the others nothing."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from booking_queue import logs
from booking_queue.tasks import end
from monitoring_service.answers import Staleness

DEADLINE_SECONDS = 2.0
MISSED_ROUNDS = 3  # without an answer, after which a source is stale even if nobody noticed a failure

Value = TypeVar("Value")

log = logs.get("monitoring")


class Source(Generic[Value]):
    """One thing that is asked again and again. `value` is what it said last, None until it ever answered."""

    def __init__(
        self,
        name: str,
        fetch: Callable[[], Awaitable[Value]],
        *,
        every: float,
        deadline: float = DEADLINE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.name = name
        self.every = every
        self.value: Value | None = None
        self.error: str | None = None
        self._fetch = fetch
        self._deadline = deadline
        self._clock = clock
        self._answered: float | None = None
        self._asking: asyncio.Task[None] | None = None

    @property
    def answered(self) -> float | None:
        """When it did so last, by its clock."""
        return self._answered

    @property
    def age(self) -> float | None:
        """Seconds since it last answered; None if it never did."""
        return None if self._answered is None else self._clock() - self._answered

    @property
    def stale(self) -> bool:
        age = self.age
        return self.error is not None or age is None or age > MISSED_ROUNDS * self.every + self._deadline

    @property
    def fresh_value(self) -> Value | None:
        return None if self.stale else self.value

    def staleness(self) -> Staleness:
        age = self.age
        return {"stale": self.stale, "ageSeconds": None if age is None else round(age, 1), "error": self.error}

    async def refresh(self) -> None:
        """Raises nothing. Callers at the same time share one question."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        await asyncio.shield(self._asking)

    async def recent(self) -> None:
        """Asks unless the last answer is younger than `every`: for a source that nobody polls."""
        if self._answered is None or self.stale or self._clock() - self._answered > self.every:
            await self.refresh()

    async def close(self) -> None:
        if self._asking is not None:
            await end(self._asking)

    async def _ask(self) -> None:
        before = self.error
        try:
            async with asyncio.timeout(self._deadline):
                self.value = await self._fetch()
            self._answered, self.error = self._clock(), None
        except Exception as error:
            self.error = self._describe(error)
        finally:
            self._asking = None
        if (before is None) != (self.error is None):
            log.event("source_changed", source=self.name, error=self.error)

    def _describe(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {self._deadline:g} s"
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False)[0]
            return f"an answer that is not understood: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        return str(error)[:300] or type(error).__name__


def start(sources: Iterable[Source[Any]], tick: Callable[[], None], every: float) -> list[asyncio.Task[None]]:
    """Tasks that go on until they are ended. `tick` is called every `every` seconds, whatever the sources do."""
    asking = [asyncio.create_task(_keep_asking(source)) for source in sources]
    return [*asking, asyncio.create_task(_keep_ticking(tick, every))]


async def _keep_asking(source: Source[Any]) -> None:
    async for _ in _rhythm(source.every):
        await source.refresh()


async def _keep_ticking(tick: Callable[[], None], every: float) -> None:
    await asyncio.sleep(every / 2)  # between two rounds of questions: each tick finds one new answer
    async for _ in _rhythm(every):
        try:
            tick()
        except Exception as error:
            log.error("tick_failed", exc=error)


async def _rhythm(every: float) -> AsyncIterator[None]:
    """At fixed times, not with fixed pauses. One that was missed is left out."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        yield
        due += every * max(1, math.ceil((loop.time() - due) / every))
        await asyncio.sleep(due - loop.time())
