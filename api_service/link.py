"""The way to one backend's service: legs in, what became of them out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from api_service.budget import RetryBudget
from api_service.circuit import Circuit
from booking_queue import logs
from booking_queue.coalesce import Coalescer
from booking_queue.domain.errors import BackendUnavailable
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.ledger import LegRef
from booking_queue.web.client import Rejected, ServiceClient

MAX_BATCH = 100
MAX_SENDING = 3  # batches under way: one that hangs holds up nobody, and they still grow under load
MAX_WAITING = 2000

log = logs.get("link")


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a leg is now; `pending` means not on the broker. `waits`: for the turn of its ordering key, or for its time
    where the broker cannot delay, which says nothing about the broker."""

    state: State
    receipt: dict[str, Any] | None = None
    waits: bool = False


PENDING = Sent(State.PENDING)


class Link:
    """`recovered` is set when the service takes legs again after failing; whoever waits for it clears it."""

    def __init__(
        self, backend: Backend, client: ServiceClient, circuit: Circuit | None = None, budget: RetryBudget | None = None
    ):
        self.backend = backend
        self.client = client
        self.circuit = circuit or Circuit()
        self.budget = budget or RetryBudget()
        self.recovered = asyncio.Event()
        self._publish: Coalescer[LegRef, Sent] = Coalescer(
            self._send_first, max_batch=MAX_BATCH, max_waiting=MAX_WAITING, max_sending=MAX_SENDING
        )

    def submit(self, leg: LegRef) -> asyncio.Future[Sent]:
        """Together with whatever else is published at the moment. Raises BackendUnavailable at once while the
        service is known to fail."""
        if self.circuit.open:
            raise BackendUnavailable(f"{self.backend} is failing")
        return self._publish.submit(leg)

    async def _send_first(self, legs: Sequence[LegRef]) -> list[Sent]:
        self.budget.tried()
        return await self.send(legs)

    async def send_again(self, legs: Sequence[LegRef]) -> list[Sent]:
        """As `send`, at the cost of the budget if none of them gets there. For one caller: only one layer retries."""
        sent: list[Sent] = []
        try:
            sent = await self.send(legs)
        finally:
            if not sent or _refused(sent):
                self.budget.retry_failed()
        return sent

    async def send(self, legs: Sequence[LegRef]) -> list[Sent]:
        """Raises BackendUnavailable: they may or may not have been published."""
        body = {"legs": [{"id": leg.job_id, "generation": leg.generation} for leg in legs]}
        try:
            sent = _read(await self.client.post("/publish", body), legs)
        except (BackendUnavailable, Rejected) as error:
            self._failed(str(error))
            raise BackendUnavailable(str(error)) from error
        if _refused(sent):
            self._failed("its broker does not take them")
        elif not all(answer.waits for answer in sent):
            self._succeeded()
        return sent

    async def ask(self) -> None:
        """Where no leg would tell: does the service reach its broker? Raises BackendUnavailable."""
        try:
            await self.client.get("/readyz")
        except (BackendUnavailable, Rejected) as error:
            self._failed(str(error))
            raise BackendUnavailable(str(error)) from error
        self._succeeded()

    async def stats(self) -> dict[str, Any]:
        answer = await self.client.get("/stats")
        return answer if isinstance(answer, dict) else {}

    def _failed(self, why: str) -> None:
        was_failing, was_open = self.circuit.failing, self.circuit.open
        self.circuit.failed()
        if not was_failing:
            log.warning("backend_fails", backend=self.backend, why=why)
        if self.circuit.open and not was_open:
            log.warning("circuit_opened", backend=self.backend, why=why)

    def _succeeded(self) -> None:
        if self.circuit.failing:
            log.event("backend_recovered", backend=self.backend)
            self.recovered.set()
        self.circuit.succeeded()


def _refused(sent: Sequence[Sent]) -> bool:
    """Something was to go to the broker, and nothing did."""
    asked = [answer for answer in sent if not answer.waits]
    return bool(asked) and all(answer.state is State.PENDING for answer in asked)


def _read(answer: Any, legs: Sequence[LegRef]) -> list[Sent]:
    """An answer a leg, in their order. One that cannot be read counts as not published: it is sent again."""
    try:
        rows = {
            row["id"]: Sent(State(row["state"]), row.get("receipt"), row.get("waits") is True) for row in answer["legs"]
        }
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise BackendUnavailable(f"an answer that cannot be understood: {error!r}") from error
    return [rows.get(leg.job_id, PENDING) for leg in legs]
