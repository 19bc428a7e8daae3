"""Calling a job off."""

from __future__ import annotations

from dataclasses import dataclass

from booking_queue.domain.job import Backend
from booking_queue.ledger.ledger import text
from booking_queue.ledger.script import Scripts


@dataclass(frozen=True, slots=True)
class Cancelled:
    """`outcome`: cancelling (what was taken is owed back first), over (`state` says how it ended), unknown.
    `scheduled`: where the broker may hold it until its time."""

    outcome: str
    state: str = ""
    scheduled: tuple[Backend, ...] = ()


class Cancellations:
    """Needs `cancel.lua` among the scripts."""

    def __init__(self, scripts: Scripts):
        self._scripts = scripts

    async def ask(self, job_id: str) -> Cancelled:
        """From then on nobody runs it. Asked for twice, it tells how far it is."""
        answer = [text(part) for part in await self._scripts.call("cancel", job_id)]
        match answer:
            case ["again", state]:
                return Cancelled("over" if state == "cancelled" else state, state)
            case ["over", state]:
                return Cancelled("over", state)
        return Cancelled(answer[0], scheduled=tuple(Backend(name) for name in answer[1:]))
