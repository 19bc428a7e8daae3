"""A consumer with the real processor, and a journal of what its handlers did."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from booking_queue.backends.base import Consumer
from booking_queue.domain.errors import RetryableError
from booking_queue.domain.retry import Backoff
from booking_queue.handlers.base import Handler, Run
from booking_queue.tasks import end
from worker_service.processor import Processor

PATIENCE = 45.0  # how long a wait for an event may last before the test fails


class AnyData(BaseModel):
    model_config = ConfigDict(extra="allow")


@dataclass
class Journal:
    """What the handlers did, as a test sees it."""

    started: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)  # by job: the data that its handler got
    failures: dict[str, int] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0
    most_at_once: int = 0

    async def run(self, job: Run, data: Any) -> Any:
        job_id = job.claim.job_id
        self.started.append(job_id)
        self.given[job_id] = data.model_dump()
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            if job.claim.type == "gated":
                await self.gate.wait()
            if self.failures.get(job_id, 0) >= job.claim.attempt:
                raise RetryableError("asked to fail")
            self.finished.append(job_id)
            if job.claim.type == "odd":
                return {1, 2}  # no JSON
            return {"by": job.worker_id, "attempt": job.claim.attempt}
        finally:
            self.running -= 1

    def handlers(self) -> Mapping[str, Handler]:
        backoff = Backoff(type="fixed", delay=100)
        return {name: Handler(name, AnyData, self.run, backoff=backoff) for name in ("noop", "gated", "odd")}


class Nothing:
    """The contract's job types touch nothing outside."""


@dataclass
class Worker:
    task: asyncio.Task[None]
    stop: asyncio.Event
    processor: Processor
    heartbeat: asyncio.Task[None]
    consumer: Consumer

    def counted(self, name: str, **labels: str) -> float:
        metrics = self.processor.tools.metrics.registry
        return metrics.get_sample_value(name, {"backend": self.processor.backend, **labels}) or 0

    async def leave(self) -> None:
        """As SIGTERM does, when there is time to finish."""
        self.stop.set()
        self.processor.stop()
        await asyncio.wait_for(self.task, PATIENCE)
        await self._close()

    async def hand_back(self) -> None:
        """As SIGTERM does, when time has run out."""
        self.stop.set()
        self.processor.abandon()
        await asyncio.wait_for(self.task, PATIENCE)
        await self._close()

    async def vanish(self) -> None:
        """As kill -9 does: nothing is acknowledged, handed back or renewed."""
        self.heartbeat.cancel()
        self.processor.slots.cancel_all()
        await end(self.task)
        vanish = getattr(self.consumer, "vanish", None)
        if vanish:
            await vanish()

    async def _close(self) -> None:
        self.heartbeat.cancel()
        await self.consumer.close()


async def eventually(check: Callable[[], Awaitable[Any]], what: str, patience: float = PATIENCE) -> Any:
    """Waits for an event, by looking. Fails after `patience` seconds."""
    try:
        async with asyncio.timeout(patience) as limit:
            while True:
                found = await check()
                if found:
                    return found
                await asyncio.sleep(0.02)
    except TimeoutError:
        if limit.expired():
            raise AssertionError(f"waited {patience:g} s for {what}") from None
        raise
