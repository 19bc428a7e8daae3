"""The outbox: how much waits in it, since when, a row to try a backend with; and what a broker lost, back in it."""

from __future__ import annotations

from dataclasses import dataclass

from booking_queue.domain.job import Backend
from booking_queue.ledger.ledger import LegRef, text
from booking_queue.ledger.script import Scripts


@dataclass(frozen=True, slots=True)
class OutboxState:
    """`oldest_ms`: how long the oldest row that is due has waited; `open_ms`: age of the oldest leg without an
    outcome, whether in the outbox or not. Both 0 where there is none."""

    rows: int
    oldest_ms: int
    open_ms: int


class Outbox:
    def __init__(self, scripts: Scripts):
        self._scripts = scripts

    async def state(self, backend: Backend) -> OutboxState:
        rows, oldest, open_ = await self._scripts.call("outbox_state", backend)
        return OutboxState(int(rows), max(0, int(oldest)), int(open_))

    async def probe(self, backend: Backend) -> LegRef | None:
        """A row whose next try is still ahead, for this caller alone until then."""
        answer = await self._scripts.call("outbox_probe", backend)
        return LegRef(text(answer[0]), int(answer[1])) if answer else None

    async def republish(
        self, backend: Backend, older_ms: int, offset: int = 0, limit: int = 100
    ) -> tuple[int | None, list[str]]:
        """For a lane found empty: of `limit` legs without an outcome, those that neither run nor wait for their time or
        turn go back into the outbox. Where to go on (None at the end), and which they are."""
        after, ids = await self._scripts.call("republish", backend, older_ms, offset, limit)
        return (None if after < 0 else int(after)), [text(job_id) for job_id in ids]
