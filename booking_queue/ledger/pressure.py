"""Whether there is room for new work: in the ledger, which is looked at once a second at most, not at each request; and
under the limits, as the ledger's scripts answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from booking_queue import logs
from booking_queue.domain.errors import LedgerUnavailable, Overloaded, TenantOverloaded

LOOK_SECONDS = 1.0
FULL_SHARE = 0.85  # of maxmemory: what is accepted needs room to be worked off

log = logs.get("pressure")


class Pressure:
    def __init__(self, redis: Redis):
        self._redis = redis
        self._looked = float("-inf")
        self._full = False

    async def must_have_room(self) -> None:
        """To be asked before work is accepted. Raises Overloaded and LedgerUnavailable."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            await self._look()
        if self._full:
            raise Overloaded("the ledger is nearly full, and takes new work once some of it is done")

    async def _look(self) -> None:
        try:
            memory = await self._redis.info("memory")
        except (RedisError, OSError) as error:
            raise LedgerUnavailable(f"Redis does not answer: {error}") from error
        most = int(memory.get("maxmemory", 0))
        full = most > 0 and int(memory.get("used_memory", 0)) > FULL_SHARE * most
        if full != self._full:
            log.warning("ledger_memory", full=full, used=memory.get("used_memory"), maxmemory=most)
        self._full = full


def admitted(answer: list[Any]) -> list[Any]:
    """Of what was to be accepted or redriven. Raises Overloaded, of one tenant TenantOverloaded."""
    if answer[0] == b"tenant full":
        raise TenantOverloaded(int(answer[1]))
    if answer[0] == b"full":
        raise Overloaded(f"as many jobs are outstanding on {answer[1].decode()} as may be")
    return answer


async def each_accepted(accepting: Iterable[Awaitable[int]]) -> list[int | Overloaded | LedgerUnavailable]:
    """When each was accepted (ms), or why it was not, in their order. Where all failed it raises one error: Overloaded
    only when none of them can have been accepted. Any other error is raised, whatever became of the rest."""
    answers: list[int | Overloaded | LedgerUnavailable] = []
    for answer in await asyncio.gather(*accepting, return_exceptions=True):
        if not isinstance(answer, int | Overloaded | LedgerUnavailable):
            raise answer
        answers.append(answer)
    failed = [answer for answer in answers if not isinstance(answer, int)]
    if failed and len(failed) == len(answers):
        raise min(failed, key=lambda error: isinstance(error, Overloaded))
    return answers
