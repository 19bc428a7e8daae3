"""Effects: each step happens once a booking, whichever leg gets there first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from booking_queue.domain.booking import Step
from booking_queue.domain.errors import EffectHeld, LeaseLost
from booking_queue.ledger.ledger import Claim, dumps, text
from booking_queue.ledger.script import Scripts


@dataclass(frozen=True, slots=True)
class Done:
    """Somebody did it before; `by` is the backend of the leg that did."""

    result: Any
    by: str


@dataclass(frozen=True, slots=True)
class Stay:
    """Nights of one kind of room in one hotel."""

    hotel_id: str
    room_type: str
    nights: Sequence[str]
    default_rooms: int


class Effects:
    """Every method raises LeaseLost when the claim no longer owns its leg: then nothing was changed."""

    def __init__(self, scripts: Scripts):
        self._scripts = scripts

    async def claim(self, claim: Claim, step: Step) -> Done | None:
        """None: it is ours to do. Raises EffectHeld while another leg does it."""
        args = (claim.job_id, claim.backend, claim.token, step.name, step.progress)
        answer = await self._scripts.call("effect_claim", *args)
        match answer[0]:
            case b"lost":
                raise LeaseLost(claim.job_id)
            case b"held":
                raise EffectHeld(step.name, int(answer[1]))
            case b"done":
                return Done(orjson.loads(answer[1]), text(answer[2]))
        return None

    async def reach(self, claim: Claim, step: Step) -> None:
        """The leg fails at this step without having claimed it."""
        answer = await self._scripts.call("effect_reach", claim.job_id, claim.backend, claim.token, step.name)
        if answer[0] == b"lost":
            raise LeaseLost(claim.job_id)

    async def done(self, claim: Claim, step: Step, result: Any) -> None:
        args = (claim.job_id, claim.backend, claim.token, step.name, step.progress, dumps(result))
        if (await self._scripts.call("effect_done", *args))[0] == b"lost":
            raise LeaseLost(claim.job_id)

    async def drop(self, claim: Claim, step: Step) -> None:
        """The step failed; another leg may try at once."""
        await self._scripts.call("effect_drop", claim.job_id, claim.backend, claim.token, step.name)

    async def _rooms(self, op: str, claim: Claim, step: Step, stay: Stay, hold_ms: int) -> tuple[bool, Any]:
        answer = await self._scripts.call(
            op,
            claim.job_id,
            claim.backend,
            claim.token,
            step.name,
            step.progress,
            hold_ms,
            stay.default_rooms,
            stay.hotel_id,
            stay.room_type,
            *stay.nights,
        )
        if answer[0] == b"lost":
            raise LeaseLost(claim.job_id)
        if answer[0] == b"full" and op == "rooms_sell":
            return False, text(answer[1])
        return answer[0] != b"full", orjson.loads(answer[1])

    async def hold_rooms(self, claim: Claim, step: Step, stay: Stay, hold_ms: int) -> Any:
        """Holds the rooms and marks the step done. The result has `rejected` and `night` when there is none."""
        return (await self._rooms("rooms_hold", claim, step, stay, hold_ms))[1]

    async def sell_rooms(self, claim: Claim, step: Step, stay: Stay) -> tuple[bool, Any]:
        """Makes the hold a sale and marks the step done: (True, result), or (False, the night that is full)."""
        return await self._rooms("rooms_sell", claim, step, stay, 0)

    async def renew_hold(self, job_id: str, hold_ms: int) -> None:
        await self._scripts.call("rooms_renew", job_id, hold_ms)
