"""Every worker replica, found by its heartbeat and asked for its numbers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from booking_queue.domain.job import Backend
from booking_queue.settings import Settings
from booking_queue.web.client import ServiceClient
from monitoring_service.ledger_reader import LedgerReader, Roll
from monitoring_service.poller import DEADLINE_SECONDS
from monitoring_service.sources import Presence, WorkerStats

ANSWER_SECONDS = 1.5
ROLL_AND_ANSWERS_SECONDS = DEADLINE_SECONDS + ANSWER_SECONDS  # who is there, as long as any source may take; then each


@dataclass(frozen=True, slots=True)
class Worker:
    presence: Presence
    stats: WorkerStats | None
    error: str | None
    heard: float | None = None  # seconds ago


@dataclass(frozen=True, slots=True)
class Workers:
    alive: list[Worker]
    lost: dict[str, float]

    @property
    def answering(self) -> list[WorkerStats]:
        return [worker.stats for worker in self.alive if worker.stats]

    def running(self, backend: Backend) -> int:
        return sum(stats.running.get(backend, 0) for stats in self.answering)

    def in_hand(self, backend: Backend) -> int:
        """What runs, and what a worker has taken that waits for another's effect or claim; of a silent worker, what
        its heartbeat told."""
        told = [worker.stats or worker.presence for worker in self.alive]
        return sum(one.running.get(backend, 0) + one.parked.get(backend, 0) for one in told)

    def capacity(self, backend: Backend) -> int:
        return sum(stats.capacity.get(backend, 0) for stats in self.answering)


class WorkersReader:
    def __init__(self, reader: LedgerReader, settings: Settings):
        self._reader = reader
        self._api_key = settings.api_key
        self._clients: dict[str, ServiceClient] = {}

    async def read(self) -> Workers:
        """A worker that does not answer is told of as such; it makes nothing else stale."""
        roll = await self._reader.roll()
        await self._forget_gone(roll)
        answers = await asyncio.gather(*(self._ask(one, roll.heard.get(one.id)) for one in roll.alive))
        return Workers(list(answers), roll.lost)

    async def _ask(self, presence: Presence, heard: float | None) -> Worker:
        client = self._clients.get(presence.address)
        if client is None:
            client = ServiceClient(presence.address, api_key=self._api_key, deadline=ANSWER_SECONDS, max_connections=2)
            self._clients[presence.address] = client
        try:
            return Worker(presence, WorkerStats.model_validate(await client.get("/stats")), None, heard)
        except Exception as error:
            return Worker(presence, None, str(error)[:300], heard)

    async def _forget_gone(self, roll: Roll) -> None:
        addresses = {presence.address for presence in roll.alive}
        for address in [address for address in self._clients if address not in addresses]:
            await self._clients.pop(address).aclose()

    async def close(self) -> None:
        await self._forget_gone(Roll())
