"""What Redis itself knows: the ledger's counters and sets, which workers are alive, and how Redis fares."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import ValidationError
from redis.asyncio import Redis

from booking_queue.clock import now_ms
from booking_queue.domain.job import Backend
from booking_queue.ledger.backlog import Backlog, read_backlog
from booking_queue.settings import Settings
from monitoring_service.sources import Presence

LOST_SHOWN_MS = 120_000  # how long a worker that vanished without a word is still spoken of


@dataclass(frozen=True, slots=True)
class RedisNumbers:
    ops_per_second: int
    memory_bytes: int
    max_memory_bytes: int
    clients: int
    latency_ms: float
    policy: str
    append_only: bool


@dataclass(frozen=True, slots=True)
class LedgerNumbers:
    """`counters` per backend: accepted, completed, dead, cancelled, retried, republished; since the ledger began."""

    counters: dict[Backend, dict[str, int]]
    confirmed: int
    backlog: dict[Backend, Backlog]
    redis: RedisNumbers


@dataclass(frozen=True, slots=True)
class Roll:
    """Workers by their heartbeat; `lost` ones left no word, with the seconds since their last."""

    alive: list[Presence] = field(default_factory=list)
    lost: dict[str, float] = field(default_factory=dict)


class LedgerReader:
    def __init__(self, redis: Redis, settings: Settings):
        self._redis = redis
        self._settings = settings
        self._prefix = settings.key_prefix

    async def numbers(self) -> LedgerNumbers:
        pipe = self._redis.pipeline(transaction=False)
        pipe.hgetall(f"{self._prefix}:counters")
        pipe.info()
        counters, info = await pipe.execute()
        left = await asyncio.gather(*(read_backlog(self._redis, self._settings, backend) for backend in Backend))
        asked = time.perf_counter()
        await self._redis.ping()
        latency = time.perf_counter() - asked
        counts = {name.decode(): int(value) for name, value in counters.items()}
        return LedgerNumbers(
            counters={backend: _of(backend, counts) for backend in Backend},
            confirmed=counts.get("bookings.confirmed", 0),
            backlog=dict(zip(Backend, left, strict=True)),
            redis=_redis_numbers(info, latency),
        )

    async def roll(self) -> Roll:
        found: list[Any] = await self._redis.zrange(f"{self._prefix}:workers", 0, -1, withscores=True)
        seen = {name.decode(): float(at) for name, at in found}
        if not seen:
            return Roll()
        entries: list[Any] = await self._redis.mget([f"{self._prefix}:worker:{name}" for name in seen])
        now, roll = now_ms(), Roll()
        for name, entry in zip(seen, entries, strict=True):
            if entry is None:
                if now - seen[name] < LOST_SHOWN_MS:
                    roll.lost[name] = round((now - seen[name]) / 1000, 1)
            elif presence := _presence(entry):
                roll.alive.append(presence)
        roll.alive.sort(key=lambda presence: presence.id)
        return roll


def _of(backend: Backend, counts: dict[str, int]) -> dict[str, int]:
    names = ("accepted", "completed", "dead", "cancelled", "retried", "republished")
    return {name: counts.get(f"{backend}.{name}", 0) for name in names}


def _presence(entry: bytes) -> Presence | None:
    """None for a name that is taken by a worker which has not told its address yet."""
    try:
        return Presence.model_validate(orjson.loads(entry))
    except (orjson.JSONDecodeError, ValidationError):
        return None


def _redis_numbers(info: dict[str, Any], latency: float) -> RedisNumbers:
    return RedisNumbers(
        ops_per_second=int(info["instantaneous_ops_per_sec"]),
        memory_bytes=int(info["used_memory"]),
        max_memory_bytes=int(info.get("maxmemory", 0)),
        clients=int(info["connected_clients"]),
        latency_ms=round(latency * 1000, 3),
        policy=str(info.get("maxmemory_policy", "")),
        append_only=str(info.get("aof_enabled", "0")) == "1",
    )
