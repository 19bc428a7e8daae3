"""What Redis itself knows: the ledger's counters and sets, which workers are alive, and how Redis fares."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from booking_queue.domain.job import Backend
from booking_queue.ledger.backlog import Backlog, read_backlog
from booking_queue.ledger.connection import refuses_writes
from booking_queue.ledger.epoch import Epoch
from booking_queue.settings import Settings
from monitoring_service.sources import Presence

WORK = ("accepted", "completed", "dead", "cancelled", "retried", "republished")
ACCIDENTS = ("crashed", "killers", "vanished", "groups_recreated", "lost")
COUNTERS = WORK + ACCIDENTS
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
    refuses: str | None  # why it takes no writes


@dataclass(frozen=True, slots=True)
class LedgerNumbers:
    """`counters` per backend, by the names below; since the ledger began."""

    counters: dict[Backend, dict[str, int]]
    confirmed: int
    backlog: dict[Backend, Backlog]
    redis: RedisNumbers
    paused: frozenset[Backend] = frozenset()


@dataclass(frozen=True, slots=True)
class Roll:
    """Workers by their heartbeat; `lost` ones left no word. `heard`: seconds since each was last heard of."""

    alive: list[Presence] = field(default_factory=list)
    heard: dict[str, float] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)


class LedgerReader:
    def __init__(self, redis: Redis, settings: Settings, epoch: Epoch):
        self._redis = redis
        self._settings = settings
        self._prefix = settings.key_prefix
        self._epoch = epoch

    async def numbers(self) -> LedgerNumbers:
        pipe = self._redis.pipeline(transaction=False)
        pipe.hgetall(f"{self._prefix}:counters")
        pipe.info()
        pipe.hgetall(f"{self._prefix}:limits")
        counters, info, limits = await pipe.execute()
        refuses = await self._refuses(info)
        if not refuses:  # it may have to write the mark
            await self._epoch.look()
        left = await asyncio.gather(*(read_backlog(self._redis, self._settings, backend) for backend in Backend))
        asked = time.perf_counter()
        with suppress(ResponseError):  # refused, too, while it cannot write its disk
            await self._redis.ping()
        latency = time.perf_counter() - asked
        counts = {name.decode(): int(value) for name, value in counters.items()}
        return LedgerNumbers(
            counters={backend: _of(backend, counts) for backend in Backend},
            confirmed=counts.get("bookings.confirmed", 0),
            backlog=dict(zip(Backend, left, strict=True)),
            redis=_redis_numbers(info, latency, refuses),
            paused=frozenset(backend for backend in Backend if limits.get(f"{backend}.paused".encode()) == b"1"),
        )

    async def _refuses(self, info: Mapping[str, Any]) -> str | None:
        config: Mapping[Any, Any] = {}
        matters = info.get("rdb_last_bgsave_status", "ok") != "ok" or "min_slaves_good_slaves" in info
        if matters:
            with suppress(ResponseError):  # CONFIG may be forbidden
                config = await self._redis.config_get("save", "stop-writes-on-bgsave-error", "min-replicas-to-write")
        return refuses_writes(info, config)

    async def roll(self) -> Roll:
        pipe = self._redis.pipeline(transaction=False)
        pipe.zrange(f"{self._prefix}:workers", 0, -1, withscores=True)
        pipe.time()  # by which they were heard from
        found, (seconds, micros) = await pipe.execute()
        seen = {name.decode(): float(at) for name, at in found}
        if not seen:
            return Roll()
        entries: list[Any] = await self._redis.mget([f"{self._prefix}:worker:{name}" for name in seen])
        now, roll = seconds * 1000 + micros // 1000, Roll()
        for name, entry in zip(seen, entries, strict=True):
            roll.heard[name] = round(max(0, now - seen[name]) / 1000, 1)
            if entry is None:
                if now - seen[name] < LOST_SHOWN_MS:
                    roll.lost[name] = round((now - seen[name]) / 1000, 1)
            elif presence := _presence(entry):
                roll.alive.append(presence)
        roll.alive.sort(key=lambda presence: presence.id)
        return roll


def _of(backend: Backend, counts: dict[str, int]) -> dict[str, int]:
    return {name: counts.get(f"{backend}.{name}", 0) for name in COUNTERS}


def _presence(entry: bytes) -> Presence | None:
    """None for a name that is taken by a worker which has not told its address yet."""
    try:
        return Presence.model_validate(orjson.loads(entry))
    except (orjson.JSONDecodeError, ValidationError):
        return None


def _redis_numbers(info: dict[str, Any], latency: float, refuses: str | None) -> RedisNumbers:
    return RedisNumbers(
        ops_per_second=int(info["instantaneous_ops_per_sec"]),
        memory_bytes=int(info["used_memory"]),
        max_memory_bytes=int(info.get("maxmemory", 0)),
        clients=int(info["connected_clients"]),
        latency_ms=round(latency * 1000, 3),
        policy=str(info.get("maxmemory_policy", "")),
        append_only=str(info.get("aof_enabled", "0")) == "1",
        refuses=refuses,
    )
