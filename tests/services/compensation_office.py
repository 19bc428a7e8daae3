"""A compensator's place: a real ledger, the real providers, and bookings that ended unconfirmed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from api_service.compensator import Compensator
from booking_queue.domain.booking import STEPS
from booking_queue.domain.job import Backend
from booking_queue.effects.mail import Mailer
from booking_queue.effects.payment import PaymentProvider
from booking_queue.ledger.compensation import Compensations
from booking_queue.ledger.effects import Effects, Stay
from booking_queue.ledger.ledger import Claim, Ledger
from booking_queue.ledger.script import Scripts
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from tests.services.api_world import accept, ledger_of
from tests.services.live_providers import Providers, live_providers

RQ, KAFKA = Backend.RQ, Backend.KAFKA
VALIDATE, PAYMENT, _, _, INVENTORY = STEPS
LINES = ("compensations", "untold")
STAY = Stay("grand", "standard", ["2027-01-01", "2027-01-02"], 5)


@dataclass
class Office:
    """A compensator between a real ledger and the real providers."""

    settings: Settings
    redis: Redis
    scripts: Scripts
    ledger: Ledger
    providers: Providers
    payments: PaymentProvider
    mails: Mailer
    metrics: Metrics

    def compensator(self) -> Compensator:
        compensations = Compensations(self.scripts)
        return Compensator(self.ledger, compensations, self.payments, self.mails, self.metrics)

    async def compensate(self) -> None:
        """A turn of each of a gateway's two rounds."""
        gateway = self.compensator()
        await gateway.turn()
        await gateway.tell()

    async def failed_booking(
        self, *, paid: str = "done", charged: bool = True, backends: tuple[Backend, ...] = (RQ,)
    ) -> str:
        """One whose rooms are held, and whose payment got as far as `paid` says ('' not at all)."""
        booking_id = str(uuid4())
        await accept(self.ledger, booking_id, *backends)
        effects = Effects(self.scripts)
        first = await self.claim(booking_id, backends[0])
        await effects.claim(first, VALIDATE)
        await effects.hold_rooms(first, VALIDATE, STAY, 600_000)
        if paid:
            await effects.claim(first, PAYMENT)
        if charged:
            await self.payments.charge(f"{booking_id}:payment", 18_000, "EUR", "CONF-X")
        if paid == "done":
            await effects.done(first, PAYMENT, {"chargeId": "c", "amount": 18_000, "currency": "EUR"})
        elif paid == "failed":
            await effects.drop(first, PAYMENT)
        assert await self.ledger.bury(first, "out of luck")
        for backend in backends[1:]:
            assert await self.ledger.bury(await self.claim(booking_id, backend), "out of luck")
        return booking_id

    async def claim(self, booking_id: str, backend: Backend = RQ, generation: int = 1) -> Claim:
        claim = await self.ledger.claim(booking_id, backend, generation, "w")
        assert isinstance(claim, Claim), claim
        return claim

    async def charge(self, booking_id: str, round_: str = "") -> dict[str, Any]:
        found: dict[str, Any] = await self.providers.get(f"/payments/{booking_id}:payment{round_}")
        return found

    async def failed_mails(self, booking_id: str, round_: str = "") -> list[dict[str, Any]]:
        found = await self.providers.get(f"/mails?messageId=<{booking_id}.failed{round_}@booking-queue>")
        mails: list[dict[str, Any]] = found["items"]
        return mails

    async def taken(self) -> list[int]:
        rooms = [f"{self.settings.key_prefix}:rooms:grand:standard:{night}" for night in STAY.nights]
        return [int(await self.redis.hget(room, "taken") or 0) for room in rooms]

    async def mailed(self, booking_id: str) -> bool:
        record = await self.ledger.get(booking_id)
        assert record
        said: bool = record.effects["compensation"].result["mailed"]
        return said

    async def owed(self) -> int:
        """Bookings whose money, or whose mail, is still to come."""
        return sum([int(await self.redis.zcard(self.key(line))) for line in LINES])

    async def due(self, booking_id: str) -> float:
        """When the next attempt may be made (ms); 0 of what owes nothing."""
        found = [await self.redis.zscore(self.key(line), booking_id) for line in LINES]
        return sum(float(at) for at in found if at)

    async def hurry(self) -> None:
        """As if every lease and every wait had ended."""
        for line in map(self.key, LINES):
            rows: Any = await self.redis.zrange(line, 0, -1)
            for row in rows:
                await self.redis.zadd(line, {row: 1})

    def key(self, name: str) -> str:
        return f"{self.settings.key_prefix}:{name}"

    async def last_event(self, booking_id: str) -> dict[str, Any]:
        """What its audit ends with, without the id before it."""
        said: Any = await self.redis.lindex(self.key(f"audit:{booking_id}"), -1)
        event: dict[str, Any] = json.loads(said.decode().partition(" ")[2])
        return event

    def count(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(name) or 0

    @property
    def failures(self) -> list[float]:
        """Of voids and of mails."""
        name, of = "compensations_failed_total", self.metrics.registry.get_sample_value
        return [of(name, {"what": what}) or 0 for what in ("void", "mail")]


@asynccontextmanager
async def open_office(settings: Settings, folder: Path) -> AsyncIterator[Office]:
    async with live_providers(folder) as providers, ledger_of(settings) as (redis, scripts, ledger):
        ours = providers.settings
        payments, mails = PaymentProvider(ours, timeout=2), Mailer(ours)
        yield Office(settings, redis, scripts, ledger, providers, payments, mails, Metrics())
        await payments.close()
        await mails.close()
