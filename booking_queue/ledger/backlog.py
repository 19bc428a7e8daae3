"""How much of a backend's work is left, as the ledger knows it: also while the broker or its service is away."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

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
    unfinished, outbox = (f"{settings.key_prefix}:{name}:{backend}" for name in ("open", "outbox"))
    try:
        async with redis.pipeline(transaction=False) as pipe:
            for key in (unfinished, outbox):
                pipe.zcard(key)
                pipe.zrange(key, 0, SAMPLE - 1)
            pipe.time()
            left, oldest, rows, unsent, (seconds, micros) = await pipe.execute()
        now = seconds * 1000 + micros // 1000
        async with redis.pipeline(transaction=False) as pipe:
            for job_id in dict.fromkeys([*oldest, *unsent]):
                pipe.zscore(unfinished, job_id)
                pipe.zscore(outbox, job_id)
                pipe.hmget(
                    f"{settings.key_prefix}:job:{job_id.decode()}",
                    [f"{backend}.{name}" for name in ("due", "finished", "limited")],
                )
            found = await pipe.execute()
    except (RedisError, OSError) as error:
        raise LedgerUnavailable(f"Redis does not answer: {error}") from error
    legs = list(zip(found[::3], found[1::3], found[2::3], strict=True))
    of_open = [_age(now, *leg) for leg in legs if leg[0] is not None]
    of_outbox = [_age(now, *leg) for leg in legs if leg[1] is not None]
    return Backlog(left, max(of_open, default=0), rows, max(of_outbox, default=0))


def _age(now: int, accepted: float | None, _: float | None, leg: list[bytes | None]) -> float:
    """Since when it might start. Its score in the outbox would not tell: that moves on at every try."""
    due, finished, limited = leg
    if limited:
        return 0
    return max(0, now - max(float(accepted or finished or now), float(due or 0))) / 1000
