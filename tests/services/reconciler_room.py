"""A gateway's reconciler of one backend, on a real Redis and a real service, with a clock that a test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from api_service.link import Link
from api_service.reconciler import LANE_SECONDS, Reconciler
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.backlog import Backlog, read_backlog
from booking_queue.ledger.ledger import Ledger
from booking_queue.ledger.outbox import Outbox
from booking_queue.ledger.script import Scripts
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from booking_queue.web.client import ServiceClient
from local.probe import free_port
from tests.services.api_world import Service, accept, ledger_of

RQ = Backend.RQ


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Room:
    settings: Settings
    redis: Redis
    scripts: Scripts
    ledger: Ledger
    service: Service
    clock: Clock
    metrics: Metrics

    def reconciler(self) -> Reconciler:
        link = Link(RQ, ServiceClient(self.service.url, deadline=2))
        return Reconciler(link, Outbox(self.scripts), self.metrics, self.clock)

    async def left(self) -> Backlog:
        return await read_backlog(self.redis, self.settings, RQ)

    async def job(self, **options: Any) -> str:
        job_id = str(uuid4())
        await accept(self.ledger, job_id, RQ, **options)
        return job_id

    async def past_grace(self) -> None:
        """As if the time that a direct publish is given had passed."""
        rows: list[bytes] = await self.redis.zrange(self.key("outbox:rq"), 0, -1)  # type: ignore[assignment]
        for job_id in rows:
            await self.redis.zadd(self.key("outbox:rq"), {job_id: 1})

    async def sent(self, **options: Any) -> str:
        job = await self.job(**options)
        await self.past_grace()
        await self.reconciler().turn()
        return job

    async def age(self, job_id: str, seconds: int) -> None:
        """As if it had been accepted and sent so much earlier."""
        await self.redis.zincrby(self.key("open:rq"), -seconds * 1000, job_id)
        await self.redis.hincrby(self.key(f"job:{job_id}"), "rq.enqueued", -seconds * 1000)

    async def look(self, reconciler: Reconciler, times: int = 1) -> None:
        """At whether the lane has lost anything."""
        for _ in range(times):
            self.clock.now += LANE_SECONDS
            await reconciler.turn()

    async def state(self, job_id: str) -> State:
        record = await self.ledger.get(job_id)
        assert record
        return record.legs[RQ].state

    def key(self, name: str) -> str:
        return f"{self.settings.key_prefix}:{name}"

    @property
    def republished(self) -> float:
        return self.gauge("legs_republished_total")

    async def lost(self) -> int:
        return int(await self.redis.hget(self.key("counters"), "rq.lost") or 0)

    def gauge(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(name, {"backend": "rq"}) or 0


@asynccontextmanager
async def room_of(settings: Settings) -> AsyncIterator[Room]:
    async with ledger_of(settings) as (redis, scripts, ledger):
        service = Service(RQ, settings, free_port())
        await service.start()
        yield Room(settings, redis, scripts, ledger, service, Clock(), Metrics())
        await service.stop()
