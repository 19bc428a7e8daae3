"""What a worker does beside its jobs: brings due ones in, takes abandoned ones back, and is seen by RQ's tools."""

from __future__ import annotations

import asyncio
import os
import platform
import socket
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version

from booking_queue import logs
from booking_queue.domain.errors import BookingQueueError
from booking_queue.domain.job import Priority
from booking_queue.domain.retry import describe
from booking_queue.ledger.script import Arg, Scripts
from booking_queue.settings import Settings

TEND_SECONDS = 0.25  # between looks; sooner when the next job is due sooner
TEND_LIMIT = 200  # jobs a look and queue: bounds how long its script holds Redis
PRUNED_AT_ONCE = 200  # of a level, at each heartbeat
AWAY_SECONDS = 1.0
RECORD_MS = 60_000  # RQ's record of a worker outlives its heartbeat by this, as RQ's own do

log = logs.get("rq")


class Tender:
    """Every worker runs one; what they do at the same time is harmless. No error ends it."""

    def __init__(self, scripts: Scripts, settings: Settings, worker_id: str):
        self._scripts = scripts
        self._every = settings.heartbeat_seconds
        self._worker_id = worker_id
        self.tally: Counter[str] = Counter()
        self._pruned_to: list[Arg] = [0] * len(Priority)

    def start(self, busy: Callable[[], bool]) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._tend()), asyncio.create_task(self._be_seen(busy))]

    async def _tend(self) -> None:
        while True:
            pause = await self._look()
            await asyncio.sleep(pause)

    async def _look(self) -> float:
        """Seconds until the next look."""
        try:
            _, given, nearest = await self._scripts.call("rq_tend", TEND_LIMIT)
        except Exception as error:
            log.warning("rq_tend_failed", why=describe(error))
            return AWAY_SECONDS
        if given:
            log.event("jobs_reclaimed", count=given)
        return float(min(TEND_SECONDS, max(nearest / 1000, 0.001))) if nearest >= 0 else TEND_SECONDS

    async def _be_seen(self, busy: Callable[[], bool]) -> None:
        about: dict[str, Arg] = {
            "pid": os.getpid(),
            "hostname": socket.gethostname(),
            "ip_address": "unknown",
            "version": version("rq"),
            "python_version": platform.python_version(),
            "successful_job_count": 0,
            "failed_job_count": 0,
        }
        ttl = int(self._every * 3000) + RECORD_MS
        while True:
            fields = [part for pair in (about | self.tally).items() for part in pair]
            state = "busy" if busy() else "idle"
            try:
                await self._scripts.call("rq_alive", self._worker_id, ttl, state, *fields)
                self._pruned_to = await self._scripts.call("rq_prune", PRUNED_AT_ONCE, *self._pruned_to)
            except Exception as error:
                log.warning("rq_heartbeat_failed", why=describe(error))
            await asyncio.sleep(self._every)

    async def leave(self) -> None:
        try:
            await self._scripts.call("rq_gone", self._worker_id)
        except BookingQueueError as error:
            log.warning("rq_heartbeat_failed", why=str(error))
