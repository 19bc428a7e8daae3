"""Housekeeping that every consumer does, so that it needs no service of its own: promotes what is due, trims what is
done, takes dead consumers' names off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from booking_queue import logs
from booking_queue.ledger.script import Answer, Scripts
from booking_queue.settings import Settings

PROMOTED_AT_ONCE = 200
SHARDS_AT_ONCE = 50
PRUNED_AT_ONCE = 200
ROUND_SECONDS = 1.0
SWEEP_SECONDS = 30.0
FORGOTTEN_LEASES = 20  # a consumer that was not heard of for so many, and holds nothing, is gone

log = logs.get("streams")


class Tender:
    """All of it is idempotent: any number of consumers may do it at the same time."""

    def __init__(self, settings: Settings, scripts: Scripts):
        self._scripts = scripts
        self._keep = settings.stream_keep
        self._silence_ms = int(max(60.0, settings.lease_seconds * FORGOTTEN_LEASES) * 1000)
        self._poked = asyncio.Event()
        self._trim_at = 0.0
        self._sweep_at = 0.0
        self._pruned_to: bytes = b"0"

    def poke(self) -> None:
        """Something may be due sooner than it was."""
        self._poked.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._poked.clear()
            try:
                pause = await self._round()
            except Exception as error:
                log.warning("housekeeping_failed", why=str(error))
                pause = ROUND_SECONDS * (0.5 + random.random())
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._poked.wait()

    async def _round(self) -> float:
        now = asyncio.get_running_loop().time()
        calls: list[Coroutine[Any, Any, Answer]] = [self._scripts.call("stream_promote", PROMOTED_AT_ONCE)]
        if now >= self._trim_at:
            self._trim_at = now + ROUND_SECONDS * (0.75 + random.random() / 2)
            calls.append(self._scripts.call("stream_trim", self._keep))
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS * (0.75 + random.random() / 2)
            calls.append(self._scripts.call("stream_sweep", self._silence_ms))
            calls.append(self._scripts.call("stream_forget", SHARDS_AT_ONCE))
            calls.append(self._prune())
        next_due = (await asyncio.gather(*calls))[0][0]
        return ROUND_SECONDS if next_due is None else min(ROUND_SECONDS, next_due / 1000)

    async def _prune(self) -> Answer:
        answer = await self._scripts.call("stream_prune", self._pruned_to, PRUNED_AT_ONCE)
        self._pruned_to = answer[0]
        return answer
