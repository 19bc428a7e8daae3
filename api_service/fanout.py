"""A booking's first steps: into the ledger, then to its backends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from api_service.link import PENDING, Link, Sent
from booking_queue import logs
from booking_queue.domain.errors import BackendUnavailable
from booking_queue.domain.job import Backend, NewJob
from booking_queue.ledger.ledger import Ledger, LegRef

log = logs.get("fanout")


class Fanout:
    def __init__(self, ledger: Ledger, links: Mapping[Backend, Link], deadline: float):
        self._ledger = ledger
        self._links = links
        self._deadline = deadline

    async def submit(self, job: NewJob, indices: Sequence[str]) -> dict[Backend, Sent]:
        """Raises LedgerUnavailable; once the job is accepted nothing is raised any more. A backend that does not
        take it in time leaves its leg `pending`, and the outbox brings it there."""
        await self._ledger.accept(job, indices)
        under_way = {backend: future for backend in job.backends if (future := self._begin(backend, job.id))}
        if under_way:
            await asyncio.wait(under_way.values(), timeout=self._deadline)
        return {backend: _outcome(under_way.get(backend)) for backend in job.backends}

    def _begin(self, backend: Backend, job_id: str) -> asyncio.Future[Sent] | None:
        try:
            return self._links[backend].submit(LegRef(job_id, 1))
        except BackendUnavailable:
            return None


def _outcome(future: asyncio.Future[Sent] | None) -> Sent:
    if future is None or not future.done():
        if future is not None:
            future.cancel()
        return PENDING
    if future.cancelled():
        return PENDING
    if error := future.exception():
        if not isinstance(error, BackendUnavailable):
            log.error("publish_failed", exc=error)
        return PENDING
    return future.result()
