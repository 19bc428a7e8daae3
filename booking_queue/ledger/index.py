"""Lists of jobs, newest first. A page costs the same however many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.ledger.ledger import text
from booking_queue.ledger.record import Record, parse
from booking_queue.ledger.script import Scripts
from booking_queue.settings import Settings

SCAN_COUNT = 1000


def name_for(tenant: str, name: str) -> str:
    """Of the list that shows what this tenant may see of the one of all (as in ledger.lua)."""
    return f"tenant:{tenant}:{name}" if tenant else name


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a job stands in a list: by time of acceptance (ms), then by id."""

    accepted: int
    job_id: str


class Index:
    """Needs `index.lua` among the scripts. Raises LedgerUnavailable when Redis does not answer."""

    def __init__(self, scripts: Scripts, settings: Settings):
        self._scripts = scripts
        self._prefix = settings.key_prefix

    async def page(self, names: Sequence[str], after: Place | None, limit: int) -> list[Place]:
        """The next places behind `after` in any of these indices, each job once."""
        pages = await asyncio.gather(*(self._page(name, after, limit) for name in names))
        return sorted({place for page in pages for place in page}, reverse=True)[:limit]

    async def _page(self, name: str, after: Place | None, limit: int) -> list[Place]:
        seen = (after.accepted, after.job_id) if after else ("", "")
        flat = await self._scripts.call("index_page", name, *seen, limit)
        return [Place(int(float(flat[i + 1])), text(flat[i])) for i in range(0, len(flat), 2)]

    async def has(self, name: str, job_id: str) -> bool:
        return bool((await self._scripts.call("index_has", name, job_id))[0])

    async def records(self, places: Sequence[Place]) -> list[Record | None]:
        """In one round trip, and outside the scripts: a long list holds nobody up."""
        try:
            async with self._scripts.redis.pipeline(transaction=False) as pipe:
                for place in places:
                    pipe.execute_command("HGETALL", f"{self._prefix}:job:{place.job_id}")
                answers = await pipe.execute()
        except (RedisError, OSError) as error:
            raise LedgerUnavailable(f"Redis does not answer: {error}") from error
        return [parse(place.job_id, _flat(answer)) for place, answer in zip(places, answers, strict=True)]

    async def sweep(self, name: str, offset: int, limit: int) -> tuple[int | None, int]:
        """Takes out entries whose record is gone: where to go on (None at the end), and how many it took."""
        after, gone = await self._scripts.call("index_sweep", name, offset, limit)
        return (None if after < 0 else int(after)), int(gone)

    async def names(self, cursor: int) -> tuple[int, list[str]]:
        """Some of the indices there are; the next cursor is 0 at the end."""
        start = f"{self._prefix}:index:"
        try:
            after, keys = await self._scripts.redis.scan(
                cursor, match=f"{_escaped(start)}*", count=SCAN_COUNT, _type="zset"
            )
        except (RedisError, OSError) as error:
            raise LedgerUnavailable(f"Redis does not answer: {error}") from error
        return int(after), [_text(key).removeprefix(start) for key in keys]


def _flat(answer: Any) -> list[bytes]:
    return [part for pair in answer.items() for part in pair] if isinstance(answer, dict) else list(answer)


def _text(key: bytes | str) -> str:
    return key.decode() if isinstance(key, bytes) else key


def _escaped(pattern: str) -> str:
    return "".join(f"\\{char}" if char in "*?[]\\" else char for char in pattern)
