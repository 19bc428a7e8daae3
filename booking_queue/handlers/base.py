"""What a job type is, and what its handler gets in hand."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from booking_queue.domain.booking import Step
from booking_queue.domain.errors import EffectHeld, InvalidData
from booking_queue.domain.retry import Backoff, RetryPolicy
from booking_queue.ledger.effects import Effects
from booking_queue.ledger.ledger import Claim
from booking_queue.ledger.watch import EffectWatch
from booking_queue.settings import Settings

LOOK_AGAIN_SECONDS = 1.0  # a held effect is looked at this often even when no word comes


class Payments(Protocol):
    async def charge(self, key: str, amount: int, currency: str, reference: str) -> Any: ...


class Papers(Protocol):
    async def render_and_store(self, key: str, fields: dict[str, Any]) -> dict[str, Any]: ...


class Mails(Protocol):
    async def send_confirmation(self, booking_id: str, fields: dict[str, Any], *, round_: int) -> Any: ...


@dataclass(frozen=True)
class Outside:
    """The outside world, as handlers may touch it."""

    payments: Payments
    documents: Papers
    mails: Mails


@dataclass
class Run:
    """One attempt of one job. `parked` lends the job's slot to others while it only waits."""

    claim: Claim
    worker_id: str
    settings: Settings
    effects: Effects
    watch: EffectWatch
    outside: Outside
    progress: Callable[[str, int], Awaitable[None]]
    parked: Callable[[], AbstractAsyncContextManager[None]]

    async def once(
        self,
        step: Step,
        do: Callable[[], Awaitable[Any]],
        *,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> Any:
        """The step's result. `do` runs only if no leg of this job has done it; `before` only if `do` is to run.

        Raises LeaseLost, and whatever `do` raises: then another leg may try.
        """
        while True:
            with self.watch.interest(self.claim.job_id) as woken:
                try:
                    found = await self.effects.claim(self.claim, step)
                except EffectHeld as held:
                    async with self.parked():
                        await woken.wait(min(held.wait_ms / 1000, LOOK_AGAIN_SECONDS))
                    continue
            if found:
                return found.result
            return await self._do(step, do, before)

    async def _do(
        self, step: Step, do: Callable[[], Awaitable[Any]], before: Callable[[], Awaitable[None]] | None
    ) -> Any:
        try:
            if before:
                await before()
            result = await do()
        except (Exception, asyncio.CancelledError):
            await asyncio.shield(self.effects.drop(self.claim, step))
            raise
        if not isinstance(result, Committed):
            await self.effects.done(self.claim, step, result)
            return result
        return result.result


@dataclass(frozen=True)
class Committed:
    """What `do` returns when its script has marked the step done in the same breath."""

    result: Any


@dataclass(frozen=True)
class Handler:
    """A job type. `payload` validates the data: what it refuses goes dead at once, naming the fields."""

    type: str
    payload: builtins.type[BaseModel]
    run: Callable[[Run, Any], Awaitable[Any]]
    backoff: Backoff = field(default_factory=Backoff)
    timeout_ms: int = 60_000

    def parse(self, data: dict[str, Any]) -> BaseModel:
        """Raises InvalidData."""
        try:
            return self.payload.model_validate(data)
        except ValidationError as error:
            fields = {
                ".".join(str(part) for part in problem["loc"]) or "data": problem["msg"]
                for problem in error.errors(include_url=False, include_context=False, include_input=False)
            }
            raise InvalidData(fields) from error

    def policy(self, claim: Claim) -> RetryPolicy:
        return RetryPolicy(claim.options.attempts, claim.options.backoff or self.backoff)
