"""Reading what the ledger tells: the capped stream of all changes, and each job's own audit.

Both carry the same ids, so that a reader can go from one to the other.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.settings import Settings

AUDIT_KEPT = 200  # as in ledger.lua

Answer = TypeVar("Answer")
Position = tuple[int, int]
"""A stream id as numbers, which compare as the ids do."""

START: Position = (0, 0)


@dataclass(frozen=True, slots=True)
class Entry:
    """`json`: as it was written, so of an entry that is not ours maybe none."""

    at: Position
    json: bytes

    @property
    def id(self) -> str:
        return f"{self.at[0]}-{self.at[1]}"


def position(stream_id: str | bytes) -> Position | None:
    """None of what is no stream id."""
    text = stream_id.decode("latin-1") if isinstance(stream_id, bytes) else stream_id
    ms, dash, number = text.partition("-")
    if not (dash and _digits(ms) and _digits(number)):
        return None
    return int(ms), int(number)


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 19


class EventLog:
    """Raises LedgerUnavailable when Redis does not answer. `blocking` is a client of its own, whose answers may take
    longer than any `block_ms`."""

    def __init__(self, redis: Redis, blocking: Redis, settings: Settings):
        self._redis = redis
        self._blocking = blocking
        self._prefix = settings.key_prefix
        self._stream = f"{settings.key_prefix}:events"

    async def audit(self, job_id: str) -> list[Entry]:
        """The job's own events, oldest first; empty when there is no such job."""
        lines = await _answered(self._redis.lrange(f"{self._prefix}:audit:{job_id}", 0, -1))
        pairs = (line.split(b" ", 1) for line in lines)
        return [Entry(at, json) for at, json in ((position(at), json) for at, json in pairs) if at]

    async def end(self) -> Position:
        """Of the newest event so far."""
        return position((await self._info()).get("last-generated-id", b"")) or START

    async def kept_since(self, at: Position) -> bool:
        """Whether every event behind `at` can still be read: that at `at` itself can, or nothing was ever cut off."""
        if at == START:
            info = await self._info()
            return bool(info.get("entries-added", 0) == info.get("length", 0))
        return bool(await _answered(self._redis.xrange(self._stream, _id(at), _id(at))))

    async def _info(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = await _answered(self._redis.xinfo_stream(self._stream))
        except ResponseError:
            return {}  # there is no stream yet
        return found

    async def after(self, after: Position, limit: int) -> list[Entry]:
        """The next events behind `after` that are there already."""
        found = await _answered(self._redis.xrange(self._stream, min=f"({_id(after)}", count=limit))
        return _entries(found)

    async def wait(self, after: Position, limit: int, block_ms: int) -> list[Entry]:
        """The next events behind `after`, waiting for the first one."""
        found = await _answered(self._blocking.xread({self._stream: _id(after)}, count=limit, block=block_ms))
        return _entries(found[0][1]) if found else []


def _id(at: Position) -> str:
    return f"{at[0]}-{at[1]}"


def _entries(found: list[tuple[bytes, dict[bytes, bytes]]]) -> list[Entry]:
    pairs = ((position(stream_id), fields.get(b"event", b"")) for stream_id, fields in found)
    return [Entry(at, json) for at, json in pairs if at]


async def _answered(answer: Awaitable[Answer] | Any) -> Any:
    try:
        return await answer
    except ResponseError:
        raise
    except (RedisError, OSError) as error:
        raise LedgerUnavailable(f"Redis does not answer: {error}") from error
