"""A ledger, an outbound and a Kafka that only takes notes, for tests of what is sent where."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from booking_queue.backends.kafka.outbound import Outbound
from booking_queue.backends.kafka.sender import Headers, Late, Sender, Sent
from booking_queue.backends.kafka.topics import Topics
from booking_queue.domain.errors import BackendUnavailable
from booking_queue.domain.job import Backend, NewJob, Options
from booking_queue.ledger.connection import connect
from booking_queue.ledger.ledger import Claim, Ledger, LegRef
from booking_queue.ledger.record import Leg
from booking_queue.ledger.script import Scripts
from booking_queue.settings import Settings

KAFKA = Backend.KAFKA
RECEIPT = {"topic": "first", "partition": 2, "offset": 7, "timestamp": 5}


@dataclass
class Note:
    topic: str
    key: bytes | None
    value: bytes | None
    raw_headers: Headers

    @property
    def headers(self) -> dict[str, str]:
        return {name: text.decode() for name, text in self.raw_headers}


class Notes(Sender):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "notes")
        self.sent: list[Note] = []
        self.away = False
        self.slow = False
        self.confirmations: list[Callable[[], None]] = []

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, late: Late | None = None
    ) -> Sent:
        if self.away:
            raise BackendUnavailable("away")
        self.sent.append(Note(topic, key, value, headers))
        sent = Sent(topic, 1, 41 + len(self.sent), 99)
        if self.slow:
            if late:
                self.confirmations.append(partial(late, sent))
            raise BackendUnavailable("too slow")
        return sent


@dataclass
class Desk:
    ledger: Ledger
    topics: Topics
    notes: Notes
    outbound: Outbound
    prefix: str

    async def job(self, tenant: str = "", **options: Any) -> LegRef:
        job = NewJob(
            id=str(uuid.uuid4()),
            type="noop",
            data={"n": 1},
            options=Options(**options),
            backends=[KAFKA],
            trace="00-" + "1" * 32 + "-" + "2" * 16 + "-01",
            tenant=tenant,
        )
        assert await self.ledger.accept(job)
        return LegRef(job.id, 1)

    async def claim(self, leg: LegRef) -> Claim:
        claim = await self.ledger.claim(leg.job_id, KAFKA, leg.generation, "w")
        assert isinstance(claim, Claim)
        return claim

    async def retried(self, leg: LegRef, delay_ms: int) -> LegRef:
        again = await self.ledger.retry(await self.claim(leg), "failed", delay_ms)
        assert again
        return again

    async def leg(self, ref: LegRef) -> Leg:
        record = await self.ledger.get(ref.job_id)
        assert record
        return record.legs[KAFKA]

    async def in_outbox(self, ref: LegRef) -> bool:
        return await self.ledger.scripts.redis.zscore(f"{self.prefix}:outbox:kafka", ref.job_id) is not None


@asynccontextmanager
async def desk_of(settings: Settings) -> AsyncIterator[Desk]:
    redis = connect(settings)
    ledger, topics, notes = Ledger(Scripts(redis, settings)), Topics(settings), Notes(settings)
    yield Desk(ledger, topics, notes, Outbound(ledger, topics, notes), settings.key_prefix)
    await redis.aclose()
