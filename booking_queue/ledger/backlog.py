"""How much of a backend's work is left, as the ledger knows it: also while the broker or its service is away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from booking_queue.clock import now_ms
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.domain.job import Backend
from booking_queue.settings import Settings

SAMPLE = 100  # legs looked at for the oldest one: the cost stays the same however many there are


@dataclass(frozen=True, slots=True)
class Backlog:
    """Ages in seconds, of legs that are due; 0 without one."""

    unfinished: int
    oldest_age: float
    outbox: int
    outbox_oldest_age: float


async def read_backlog(redis: Redis, settings: Settings, backend: Backend) -> Backlog:
    """Raises LedgerUnavailable."""
    outbox, unfinished = (f"{settings.key_prefix}:{name}:{backend}" for name in ("outbox", "open"))
    try:
        async with redis.pipeline(transaction=False) as pipe:
            pipe.zcard(unfinished)
            pipe.zcard(outbox)
            pipe.zrange(unfinished, 0, SAMPLE - 1)
            pipe.zrange(outbox, 0, SAMPLE - 1)
            left, rows, oldest, unsent = await pipe.execute()
        ages = await _ages(redis, settings, backend, [*oldest, *unsent])
    except (RedisError, OSError) as error:
        raise LedgerUnavailable(f"Redis does not answer: {error}") from error
    of_open, of_outbox = ages[: len(oldest)], ages[len(oldest) :]
    return Backlog(left, max(of_open, default=0), rows, max(of_outbox, default=0))


async def _ages(redis: Redis, settings: Settings, backend: Backend, job_ids: list[bytes]) -> list[float]:
    """Since when each might start. A row's score in the outbox would not tell: it moves on at every try."""
    if not job_ids:
        return []
    names = [f"{backend}.{name}" for name in ("due", "finished")]
    async with redis.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.zscore(f"{settings.key_prefix}:open:{backend}", job_id)
            pipe.hmget(f"{settings.key_prefix}:job:{job_id.decode()}", names)
        found: list[Any] = await pipe.execute()
    now = now_ms()
    legs = zip(found[::2], found[1::2], strict=True)
    since = [max(float(accepted or finished or now), float(due or 0)) for accepted, (due, finished) in legs]
    return [max(0, now - moment) / 1000 for moment in since]
