"""Keeps what is ours: the leases of running jobs, and this worker's own name."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from booking_queue import logs
from booking_queue.backends.base import Delivery
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.ledger.ledger import Claim, dumps
from booking_queue.settings import Settings

PRESENCE_TTL_SECONDS = 15
PRESENCE_SECONDS = 3
MAX_SLOTS_A_HOST = 1000
FORGET_MS = 3_600_000

# KEYS: a name's, and that of who was heard from when. ARGV: our mark and name, then what is told under the name, for
# how many seconds, and for how many ms a name is remembered; or nothing, to leave it. Only while it is ours or
# nobody's: of a worker that was frozen the name may be another's by now. The time is Redis': a machine's may be off.
_OURS = """
local found = redis.call('GET', KEYS[1])
if found and not string.find(found, ARGV[1], 1, true) then return 0 end
if ARGV[3] then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4])
  redis.call('ZADD', KEYS[2], now, ARGV[2])
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[5])
else
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[2])
end
return 1
"""

log = logs.get("worker")


class Beat:
    """One running job. `lost`: its lease is gone, and its task was cancelled for it."""

    def __init__(self, delivery: Delivery, claim: Claim, running: set[Beat]):
        self.delivery = delivery
        self.claim = claim
        self.lost = False
        self.since = time.monotonic()
        self.task: asyncio.Task[Any] | None = None
        self._running = running

    def __enter__(self) -> None:
        self.task = asyncio.current_task()
        self._running.add(self)

    def __exit__(self, *_: object) -> None:
        self._running.discard(self)


class Heartbeat:
    """One loop renews the leases of all running jobs; a job whose lease is gone is cancelled."""

    def __init__(self, settings: Settings):
        self._every = settings.heartbeat_seconds
        self._running: set[Beat] = set()

    def of(self, delivery: Delivery, claim: Claim) -> Beat:
        """Beats while it is entered."""
        return Beat(delivery, claim, self._running)

    @property
    def running(self) -> int:
        return len(self._running)

    def types(self) -> list[str]:
        """Of what runs."""
        return sorted({beat.claim.type for beat in self._running})

    def jobs(self, most: int) -> list[dict[str, Any]]:
        """What runs, the oldest first."""
        now = time.monotonic()
        return [
            {
                "jobId": beat.claim.job_id,
                "backend": beat.claim.backend.value,
                "type": beat.claim.type,
                "attempt": beat.claim.attempt,
                "seconds": round(now - beat.since, 1),
            }
            for beat in sorted(self._running, key=lambda beat: beat.since)[:most]
        ]

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await stop.wait()
            old = time.monotonic() - self._every / 2
            await asyncio.gather(*(self._extend(beat) for beat in list(self._running) if beat.since < old))

    async def _extend(self, beat: Beat) -> None:
        try:
            if await beat.delivery.extend(beat.claim):
                return
        except LedgerUnavailable:
            return  # the lease may outlive the outage; if not, the fence holds
        except Exception as error:
            log.warning("heartbeat_failed", jobId=beat.claim.job_id, exc=error)
            return
        if beat in self._running and beat.task:
            beat.lost = True
            log.warning("lease_lost", jobId=beat.claim.job_id, backend=beat.claim.backend)
            beat.task.cancel()


class NameTaken(Exception):
    """Another worker is alive under this WORKER_ID."""


class Presence:
    """This worker's name and address in Redis, for as long as it lives."""

    def __init__(self, redis: Redis, settings: Settings):
        self._redis = redis
        self._prefix = settings.key_prefix
        self._wanted = settings.worker_id
        self._mark = os.urandom(8).hex()
        self.worker_id = ""

    def _key(self, name: str) -> str:
        return f"{self._prefix}:worker:{name}"

    async def take_name(self) -> str:
        """WORKER_ID, or the host's name with the first free slot. Raises NameTaken."""
        host = socket.gethostname()
        names = [self._wanted] if self._wanted else [host, *(f"{host}-{n}" for n in range(2, MAX_SLOTS_A_HOST))]
        for name in names:
            if await self._redis.set(self._key(name), self._mark, nx=True, ex=PRESENCE_TTL_SECONDS):
                self.worker_id = name
                return name
        raise NameTaken(
            f"a worker named {self._wanted!r} is alive already (heard from less than {PRESENCE_TTL_SECONDS} s ago). "
            "Stop it, or give this one another WORKER_ID."
            if self._wanted
            else f"no free name for another worker on {host}"
        )

    async def run(self, about: Callable[[], dict[str, Any]], stop: asyncio.Event, finished: asyncio.Event) -> None:
        """Until `finished`, whatever fails. `about()` gives what others read under this name. Should another worker
        have taken the name while Redis was away, `stop` is set: two must never work under one name."""
        while not finished.is_set():
            try:
                if not await self._renew(about()):
                    log.error("name_lost")
                    stop.set()
                    return
            except (RedisError, OSError):
                pass  # what needs Redis tells it
            except Exception as error:
                log.error("presence_untold", exc=error)
            with suppress(TimeoutError):
                async with asyncio.timeout(PRESENCE_SECONDS):
                    await finished.wait()

    async def _renew(self, about: dict[str, Any]) -> bool:
        entry = {
            "id": self.worker_id,
            "mark": self._mark,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            **about,
        }
        return await self._ours(dumps(entry), PRESENCE_TTL_SECONDS, FORGET_MS)

    async def leave(self) -> None:
        with suppress(RedisError, OSError):
            await self._ours()

    async def _ours(self, *told: bytes | int) -> bool:
        keys = self._key(self.worker_id), f"{self._prefix}:workers"
        return bool(await self._redis.eval(_OURS, len(keys), *keys, self._mark, self.worker_id, *told))
