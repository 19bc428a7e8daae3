"""The ledger's clock, as far as this process knows it: what is due is told by Redis, never by this machine."""

from __future__ import annotations

import asyncio
import time

from redis.exceptions import RedisError

from booking_queue.ledger.ledger import Ledger

REFRESH_SECONDS = 10.0


class LedgerTime:
    def __init__(self, ledger: Ledger):
        self._redis = ledger.scripts.redis
        self._offset = time.time() - time.monotonic()

    def now_ms(self) -> int:
        return int((time.monotonic() + self._offset) * 1000)

    async def run(self) -> None:
        while True:
            try:
                before = time.monotonic()
                seconds, micros = await self._redis.time()
                # Half the round trip too late, never too early: a head that starts early would only be parked.
                self._offset = seconds + micros / 1e6 - time.monotonic()
                wait = REFRESH_SECONDS if time.monotonic() - before < 1 else 0.1
            except (RedisError, OSError):
                wait = 1.0
            await asyncio.sleep(wait)
