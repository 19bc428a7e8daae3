"""The ledger on a real Redis, and shorthands."""

from __future__ import annotations

import uuid
from typing import Any

from redis.asyncio import Redis

from booking_queue.domain.booking import STEPS
from booking_queue.domain.job import Backend, NewJob, Options, State
from booking_queue.ledger.effects import Effects, Stay
from booking_queue.ledger.ledger import Claim, Ledger
from booking_queue.ledger.record import Record
from booking_queue.ledger.script import Scripts
from booking_queue.settings import Settings

RQ, STREAMS, KAFKA = Backend.RQ, Backend.STREAMS, Backend.KAFKA
VALIDATE, PAYMENT, DOCUMENT, MAIL, INVENTORY = STEPS


class Book:
    """The ledger, and shorthands."""

    def __init__(self, redis: Redis, settings: Settings, extra: str = ""):
        self.redis = redis
        self.prefix = settings.key_prefix
        self.scripts = Scripts(redis, settings, extra)
        self.ledger = Ledger(self.scripts)
        self.effects = Effects(self.scripts)

    async def job(self, *backends: Backend, kind: str = "booking", delay: int = 0, tenant: str = "") -> str:
        job_id = str(uuid.uuid4())
        legs = list(backends) or [RQ]
        new = NewJob(id=job_id, type=kind, data={}, backends=legs, options=Options(delay=delay), tenant=tenant)
        assert await self.ledger.accept(new)
        return job_id

    async def claim(self, job_id: str, backend: Backend = RQ, generation: int = 1, worker: str = "w") -> Claim:
        answer = await self.ledger.claim(job_id, backend, generation, worker)
        assert isinstance(answer, Claim), answer
        return answer

    async def record(self, job_id: str) -> Record:
        found = await self.ledger.get(job_id)
        assert found
        return found

    async def state(self, job_id: str, backend: Backend = RQ) -> State:
        return (await self.record(job_id)).legs[backend].state

    async def let_lease_end(self, job_id: str, backend: Backend = RQ) -> None:
        """As if its time had passed."""
        await self.redis.hset(f"{self.prefix}:job:{job_id}", f"{backend}.lease", "1")

    def stay(self, rooms: int = 1, *nights: str) -> Stay:
        return Stay("h", "standard", nights or ("2026-01-01", "2026-01-02"), rooms)

    async def do(self, claim: Claim, *steps: Any) -> None:
        for step in steps:
            assert await self.effects.claim(claim, step) is None
            await self.effects.done(claim, step, {"did": step.name})


async def ordered(book: Book, key: str = "k", tenant: str = "", **options: Any) -> str:
    job = NewJob(
        id=str(uuid.uuid4()),
        type="booking",
        data={},
        backends=[KAFKA],
        options=Options(ordering_key=key, **options),
        tenant=tenant,
    )
    assert await book.ledger.accept(job)
    return job.id
