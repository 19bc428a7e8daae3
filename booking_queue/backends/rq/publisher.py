"""Puts legs of the ledger on RQ's queues, and looks at what is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from booking_queue.backends.base import Features, Published
from booking_queue.backends.rq import views
from booking_queue.backends.rq.consumer import queue_name
from booking_queue.domain.errors import PermanentError
from booking_queue.domain.job import Backend, Priority, State
from booking_queue.handlers import registry
from booking_queue.ledger.ledger import LegRef, text
from booking_queue.ledger.pressure import admitted
from booking_queue.ledger.script import Scripts
from booking_queue.settings import Settings
from booking_queue.tasks import outcomes

STATES = ("waiting", "active", "completed", "failed", "delayed")


class RqPublisher:
    backend = Backend.RQ
    features = Features()

    def __init__(self, scripts: Scripts, settings: Settings):
        self._scripts = scripts
        self._queue = queue_name(settings, Priority.NORMAL)

    async def open(self) -> None:
        """Nothing: RQ lives in the Redis of the ledger."""

    async def close(self) -> None:
        """Nothing is open."""

    async def publish(self, legs: Sequence[LegRef]) -> list[Published | Exception]:
        return await outcomes(self._publish(leg) for leg in legs)

    async def _publish(self, leg: LegRef) -> Published:
        answer = await self._scripts.call("rq_publish", leg.job_id, leg.generation)
        return published(leg.job_id, answer)

    async def lookup(self, job_id: str) -> dict[str, Any] | None:
        flat = await self._scripts.call("rq_lookup", job_id)
        return views.record(job_id, views.fields_of(flat), frozenset(registry())) if flat else None

    async def stats(self) -> dict[str, Any]:
        return views.stats(self._queue, await self._scripts.call("rq_stats"))

    async def dead_letters(self, count: int = 100) -> list[dict[str, Any]]:
        types = frozenset(registry())
        found = await self._scripts.call("rq_dead", count)
        return [views.letter(text(job_id), views.fields_of(flat), text(error), types) for job_id, flat, error in found]

    async def redrive(self, job_id: str) -> Published | str:
        answer = admitted(await self._scripts.call("rq_redrive", job_id))
        return published(job_id, answer) if len(answer) > 1 else text(answer[0])

    async def discard(self, job_id: str) -> str:
        return text((await self._scripts.call("rq_discard", job_id))[0])

    async def jobs(self, state: str, start: int, end: int) -> list[dict[str, Any]]:
        """From `start` to `end`, inclusive; of STATES. Waiting in line, finished ones newest first."""
        types = frozenset(registry())
        found = await self._scripts.call("rq_jobs", state, start, end)
        return [views.listed(row, types) for row in found]


def published(job_id: str, answer: list[Any]) -> Published:
    why, state, receipt = answer
    if why == b"unknown":
        raise PermanentError(f"the ledger does not know {job_id}")
    return Published(job_id, State(text(state)), orjson.loads(receipt) if receipt else None, waits=why == b"waits")
