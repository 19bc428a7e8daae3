"""How much of a backend's work is left, as the ledger knows it: also while the broker or its service is away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.domain.job import Backend
from booking_queue.settings import Settings

SAMPLE = 100  # legs looked at for the oldest one unsent: the cost stays the same however many there are
LOOKED_AT = 1_000  # for the oldest one that waits: more than are running before it


@dataclass(frozen=True, slots=True)
class Backlog:
    """`due`: legs that could start, or run. Ages in seconds, since one could start that does not run; 0 without one."""

    unfinished: int
    due: int
    oldest_age: float
    outbox: int
    outbox_oldest_age: float


async def read_backlog(redis: Redis, settings: Settings, backend: Backend) -> Backlog:
    """Raises LedgerUnavailable."""
    unfinished, outbox = (f"{settings.key_prefix}:{name}:{backend}" for name in ("open", "outbox"))
    try:
        async with redis.pipeline(transaction=False) as pipe:
            pipe.zcard(unfinished)
            pipe.zrange(unfinished, 0, SAMPLE - 1)
            pipe.zcard(outbox)
            pipe.zrange(outbox, 0, SAMPLE - 1)
            pipe.time()
            left, first, rows, unsent, (seconds, micros) = await pipe.execute()
        now = seconds * 1000 + micros // 1000
        async with redis.pipeline(transaction=False) as pipe:
            pipe.zcount(unfinished, "-inf", now)
            for job_id in dict.fromkeys([*first, *unsent]):
                pipe.zscore(outbox, job_id)
                pipe.zscore(unfinished, job_id)
                pipe.hget(f"{settings.key_prefix}:job:{job_id.decode()}", f"{backend}.finished")
            due, *found = await pipe.execute()
        oldest = await _oldest(redis, settings, backend, now) if left else 0
    except (RedisError, OSError) as error:
        raise LedgerUnavailable(f"Redis does not answer: {error}") from error
    legs = zip(found[::3], found[1::3], found[2::3], strict=True)
    of_outbox = (_age(now, could, finished) for waits, could, finished in legs if waits is not None)
    return Backlog(left, due, oldest, rows, max(of_outbox, default=0))


async def _oldest(redis: Redis, settings: Settings, backend: Backend, now: int) -> float:
    """Should all that were looked at run, the next one waits no longer than the last of these."""
    unfinished, outbox = (f"{settings.key_prefix}:{name}:{backend}" for name in ("open", "outbox"))
    last = float(now)
    for offset in range(0, LOOKED_AT, SAMPLE):
        page: list[Any] = await redis.zrangebyscore(unfinished, "-inf", now, offset, SAMPLE, withscores=True)
        async with redis.pipeline(transaction=False) as pipe:
            for job_id, _ in page:
                pipe.hmget(f"{settings.key_prefix}:job:{job_id.decode()}", f"{backend}.state", f"{backend}.lease")
                pipe.zscore(outbox, job_id)
            found = await pipe.execute() if page else []
        for (_, could), (state, lease), unsent in zip(page, found[::2], found[1::2], strict=True):
            if _waits(state, int(lease or 0) > now, unsent is not None):
                return _age(now, could)
            last = could
        if len(page) < SAMPLE:
            return 0
    return _age(now, last)


def _waits(state: bytes | None, leased: bool, unsent: bool) -> bool:
    """Of one whose time has come. Pending and in no outbox is one for which another of its ordering key goes first."""
    match state:
        case b"active":
            return not leased
        case b"pending":
            return unsent
        case _:
            return state in (b"queued", b"delayed", b"retrying")


def _age(now: int, could_start: float | None, finished: bytes | None = None) -> float:
    """Of a dead letter, which will not start, since it died. The score in the outbox would not tell: that moves on at
    every try."""
    return max(0, now - float(could_start or finished or now)) / 1000
