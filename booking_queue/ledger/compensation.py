"""Bookings whose legs all ended unconfirmed, or that were cancelled: what was taken for them is owed back."""

from __future__ import annotations

from typing import Any

from booking_queue.ledger.ledger import dumps, text
from booking_queue.ledger.script import Scripts


class Compensations:
    def __init__(self, scripts: Scripts):
        self._scripts = scripts

    async def take(self, limit: int, lease_ms: int) -> list[str]:
        """Bookings to compensate now, each for this caller alone until its lease ends."""
        return [text(job_id) for job_id in await self._scripts.call("compensations_take", limit, lease_ms)]

    async def untold(self, limit: int, lease_ms: int) -> list[str]:
        """Bookings whose money is back and whose guests are to be told now, each for this caller alone until its lease
        ends."""
        return [text(job_id) for job_id in await self._scripts.call("untold_take", limit, lease_ms)]

    async def done(self, job_id: str, round_: int, result: dict[str, Any], *, mail: bool = False) -> bool:
        """What this round took is back; the rooms go back with this. `mail`: it is `untold` until `told`. False: it was
        done, or the round is over."""
        return bool((await self._scripts.call("compensated", job_id, round_, dumps(result), int(mail)))[0])

    async def told(self, job_id: str, round_: int, *, mailed: bool) -> None:
        """Nothing more is owed for this round. `mailed`: a mail told so."""
        await self._scripts.call("compensation_told", job_id, round_, int(mailed))

    async def defer(self, job_id: str, round_: int, longest_ms: int) -> int:
        """It, or the mail, failed: again later. How often it has; 0 when the round is over."""
        return int((await self._scripts.call("compensation_defer", job_id, round_, longest_ms))[0])
