"""How much of a backend's work is left, as the ledger knows it: also while the broker or its service is away."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.domain.job import Backend
from booking_queue.settings import Settings

SAMPLE = 100  # legs looked at for the oldest one unsent: the cost stays the same however many there are


@dataclass(frozen=True, slots=True)
class Backlog:
    """Ages in seconds, since a leg could start; 0 without one that can."""

    unfinished: int
    oldest_age: float
    outbox: int
    outbox_oldest_age: float


async def read_backlog(redis: Redis, settings: Settings, backend: Backend) -> Backlog:
    """Raises LedgerUnavailable."""
    unfinished, outbox = (f"{settings.key_prefix}:{name}:{backend}" for name in ("open", "outbox"))
    try:
        async with redis.pipeline(transaction=False) as pipe:
            pipe.zcard(unfinished)
            pipe.zrange(unfinished, 0, SAMPLE - 1, withscores=True)
            pipe.zcard(outbox)
            pipe.zrange(outbox, 0, SAMPLE - 1)
            pipe.time()
            left, first, rows, unsent, (seconds, micros) = await pipe.execute()
        now = seconds * 1000 + micros // 1000
        async with redis.pipeline(transaction=False) as pipe:
            for job_id in dict.fromkeys([*(job_id for job_id, _ in first), *unsent]):
                pipe.zscore(outbox, job_id)
                pipe.zscore(unfinished, job_id)
                pipe.hget(f"{settings.key_prefix}:job:{job_id.decode()}", f"{backend}.finished")
            found = await pipe.execute()
    except (RedisError, OSError) as error:
        raise LedgerUnavailable(f"Redis does not answer: {error}") from error
    legs = zip(found[::3], found[1::3], found[2::3], strict=True)
    of_outbox = (_age(now, could, finished) for waits, could, finished in legs if waits is not None)
    return Backlog(left, _age(now, first[0][1]) if first else 0, rows, max(of_outbox, default=0))


def _age(now: int, could_start: float | None, finished: bytes | None = None) -> float:
    """Of a dead letter, which will not start, since it died. The score in the outbox would not tell: that moves on at
    every try."""
    return max(0, now - float(could_start or finished or now)) / 1000
