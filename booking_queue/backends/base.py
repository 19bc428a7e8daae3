"""The seam between what we promise (the same everywhere) and how a broker does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from booking_queue.backends.envelope import Envelope
from booking_queue.backends.slots import Slots
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.ledger import Claim, LegRef


@dataclass(frozen=True, slots=True)
class Features:
    """What a broker cannot do. The contract's tests ask here, never for a name."""

    removable_dead_letters: bool = True  # False: a redriven letter stays readable in the log
    total_order: bool = True  # False: order holds within a partition


@dataclass(frozen=True, slots=True)
class Published:
    """`state` pending: not sent, the outbox will; `receipt` is the broker's own place for it. `waits`: for the turn of
    its ordering key, or for its time with us, whatever its broker does."""

    job_id: str
    state: State
    receipt: dict[str, Any] | None
    waits: bool = False


class Publisher(Protocol):
    backend: Backend
    features: Features

    async def open(self) -> None:
        """Raises nothing when the broker is away."""

    async def close(self) -> None: ...

    async def publish(self, legs: Sequence[LegRef]) -> list[Published | Exception]:
        """Sends what the ledger holds for these legs. Idempotent by (job id, generation)."""

    async def lookup(self, job_id: str) -> dict[str, Any] | None:
        """The broker's own view of a job: before, while and after it runs; None where it knows nothing (more)."""

    async def stats(self) -> dict[str, Any]:
        """What this backend's /stats tells, at the same cost for ten jobs and for a million. `backlog`: what the broker
        holds that is not finished; `scheduled`: how much of it may not start yet."""

    async def dead_letters(self, count: int = 100) -> list[dict[str, Any]]:
        """Newest first, with the broker's own fields."""

    async def redrive(self, job_id: str) -> Published | str:
        """Starts a dead job over, or says why not."""

    async def discard(self, job_id: str) -> str:
        """Takes a dead job out of the dead letters, and off the broker what it still holds of one that ended:
        `discarded`, else its state, unknown, or moved or discarded."""


class Delivery(Protocol):
    """One message in hand. With a claim, each verb changes the ledger only while the claim's lease is ours, and
    answers False otherwise, leaving the message alone; with None it does the broker's part only."""

    envelope: Envelope

    async def extend(self, claim: Claim | None) -> bool:
        """Keep it ours for another lease."""

    async def ack(self, claim: Claim | None, result: Any = None) -> bool:
        """Done. With None: an older copy, taken off unrun."""

    async def retry(self, claim: Claim, error: str, delay_ms: int) -> bool:
        """Hand it over to a later attempt."""

    async def bury(self, claim: Claim | None, reason: str, *, killer: bool = False) -> bool:
        """To the dead letters, with the reason. `killer`: each of its starts killed whatever ran it."""

    async def release(self, claim: Claim | None) -> None:
        """Hand it back unrun, so that another consumer can start at once."""


Handle = Callable[[Delivery], Coroutine[Any, Any, None]]


class Consumer(Protocol):
    backend: Backend

    async def open(self) -> None:
        """Raises nothing when the broker is away."""

    async def close(self) -> None: ...

    async def run(self, handle: Handle, slots: Slots, stop: asyncio.Event) -> None:
        """Runs `handle` for each message, in a slot each, until `stop`; takes no new ones after it, and returns when
        all handlers have. Survives its broker's absence. Unreadable bytes go to the dead letters, never to `handle`."""

    def details(self) -> dict[str, Any]:
        """What its worker's /stats tells of it alone: `partitions` and `rebuilds` where there are such."""
