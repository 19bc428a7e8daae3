"""Whether the ledger has room for new work. Looked at from time to time, not at each request."""

from __future__ import annotations

from redis.asyncio import Redis
from redis.exceptions import RedisError

from booking_queue import logs
from booking_queue.domain.errors import LedgerUnavailable

TURN_SECONDS = 1.0
FULL_SHARE = 0.85  # of maxmemory: what is accepted needs room to be worked off

log = logs.get("pressure")


class Pressure:
    def __init__(self, redis: Redis):
        self._redis = redis
        self.full = False

    async def turn(self) -> None:
        try:
            memory = await self._redis.info("memory")
        except (RedisError, OSError) as error:
            raise LedgerUnavailable(f"Redis does not answer: {error}") from error
        most = int(memory.get("maxmemory", 0))
        full = most > 0 and int(memory.get("used_memory", 0)) > FULL_SHARE * most
        if full != self.full:
            log.warning("ledger_memory", full=full, used=memory.get("used_memory"), maxmemory=most)
        self.full = full
