"""A booking's first steps: into the ledger, then to its backends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from api_service.link import PENDING, Link, Sent
from booking_queue import logs
from booking_queue.domain.errors import BackendUnavailable
from booking_queue.domain.job import Backend, NewJob
from booking_queue.ledger.ledger import Ledger, LegRef
from booking_queue.ledger.pressure import each_accepted

log = logs.get("fanout")


class Fanout:
    def __init__(self, ledger: Ledger, links: Mapping[Backend, Link], deadline: float):
        self._ledger = ledger
        self._links = links
        self._deadline = deadline

    async def submit(self, job: NewJob, indices: Sequence[str]) -> tuple[int, dict[Backend, Sent]]:
        """When it was accepted (ms), and what each backend said. Raises LedgerUnavailable and Overloaded; once the job
        is accepted nothing is raised any more. A backend that does not take it in time leaves its leg `pending`, and
        the outbox brings it there."""
        accepted = await self._ledger.accept(job, indices)
        return accepted, (await self._publish([job]))[0]

    async def submit_many(self, jobs: Sequence[tuple[NewJob, Sequence[str]]]) -> list[dict[Backend, Sent] | Exception]:
        """An answer a job, in their order. Raises as `each_accepted`."""
        accepted = await each_accepted(self._ledger.accept(*job) for job in jobs)
        taken = [job for (job, _), answer in zip(jobs, accepted, strict=True) if not isinstance(answer, Exception)]
        sent = iter(await self._publish(taken))
        return [answer if isinstance(answer, Exception) else next(sent) for answer in accepted]

    async def _publish(self, jobs: Sequence[NewJob]) -> list[dict[Backend, Sent]]:
        begun = [{backend: self._begin(backend, job.id) for backend in job.backends} for job in jobs]
        under_way = [future for legs in begun for future in legs.values() if future]
        if under_way:
            await asyncio.wait(under_way, timeout=self._deadline)
        return [{backend: _outcome(future) for backend, future in legs.items()} for legs in begun]

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
