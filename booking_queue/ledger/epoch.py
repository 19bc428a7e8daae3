"""Tells whether Redis was emptied under a running service: what is gone cannot complain by itself."""

from __future__ import annotations

import secrets
import time
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from booking_queue import logs
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings

TOLD_SECONDS = 900.0  # an alarm is told for this long

log = logs.get("ledger")


class Epoch:
    """A mark that is written into the ledger once and remembered by each service. Gone, or another one: Redis was
    emptied, or another Redis has taken its place."""

    def __init__(self, redis: Redis, settings: Settings, metrics: Metrics, known: str = ""):
        self._redis = redis
        self._key = f"{settings.key_prefix}:epoch"
        self._metrics = metrics
        self._at: float | None = None
        self.known = known
        self.emptied = 0

    @property
    def alarmed(self) -> bool:
        """It happened in the last minutes."""
        return self._at is not None and time.monotonic() - self._at < TOLD_SECONDS

    async def look(self) -> None:
        """Raises LedgerUnavailable."""
        try:
            found: Any = await self._redis.get(self._key)
            if found is None:
                await self._redis.set(self._key, secrets.token_hex(8), nx=True)
                found = await self._redis.get(self._key)
        except (RedisError, OSError) as error:
            raise LedgerUnavailable(f"Redis does not answer: {error}") from error
        self._compare(found.decode() if found else "")

    def _compare(self, found: str) -> None:
        if self.known and found != self.known:
            self.emptied += 1
            self._at = time.monotonic()
            self._metrics.ledger_emptied.inc()
            log.error("ledger_emptied", before=self.known, now=found)
        self.known = found or self.known
