"""The outbox: what is due, a row to try a backend with, and what goes into it again."""

from __future__ import annotations

from booking_queue.domain.job import Backend
from booking_queue.ledger.ledger import LegRef, text
from booking_queue.ledger.script import Scripts


class Outbox:
    def __init__(self, scripts: Scripts):
        self._scripts = scripts

    async def due(self, backend: Backend, limit: int = 100) -> list[LegRef]:
        """Rows to send now, each for this caller alone until its next turn."""
        answer = await self._scripts.call("outbox_take", backend, limit)
        return [LegRef(text(answer[i]), int(answer[i + 1])) for i in range(0, len(answer), 2)]

    async def wake(self, backend: Backend) -> int:
        """The backend answers again: its waiting rows are tried now. How many there were."""
        return int((await self._scripts.call("outbox_wake", backend))[0])

    async def open_age(self, backend: Backend) -> int:
        """For how long (ms) a leg without an outcome could have started, in the outbox or not; 0 without one."""
        return int((await self._scripts.call("open_age", backend))[0])

    async def probe(self, backend: Backend) -> LegRef | None:
        """A due row, else one that is not; for this caller alone until its next try."""
        answer = await self._scripts.call("outbox_probe", backend)
        return LegRef(text(answer[0]), int(answer[1])) if answer else None

    async def resend(self, job_id: str, backend: Backend) -> bool:
        """A leg without an outcome goes back into the outbox. False: it runs, has ended, or is not due."""
        return bool((await self._scripts.call("resend", job_id, backend))[0])

    async def republish(
        self, backend: Backend, older_ms: int, offset: int = 0, limit: int = 100, most: int = 0
    ) -> tuple[int | None, list[str]]:
        """Of `limit` legs without an outcome, those that have neither run nor waited for their time or turn for so long
        go back into the outbox; `most` of them where the lane is not empty. Where to go on (None at the end), and which
        they are."""
        after, ids = await self._scripts.call("republish", backend, older_ms, offset, limit, most)
        return (None if after < 0 else int(after)), [text(job_id) for job_id in ids]
