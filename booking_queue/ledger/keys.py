"""API keys beside the operator's own API_KEY. Only a hash of each is kept: what its holder sends is told once."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Iterable
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from booking_queue.clock import now_ms
from booking_queue.domain.access import Key, Scope
from booking_queue.domain.errors import BookingQueueError, LedgerUnavailable
from booking_queue.settings import Settings

MOST = 1000
SECRET_BYTES = 32
KNOWN_SECONDS = 1.0  # so long a process may still take a key that was revoked elsewhere
REMEMBERED = 10_000
_FORM = re.compile(rb"bqk_([0-9a-f]{16})_[\w-]{43}")


_Kept = tuple[Key, str]  # and its hash


class TooManyKeys(BookingQueueError):
    pass


class Keys:
    """Raises LedgerUnavailable when Redis does not answer."""

    def __init__(self, redis: Redis, settings: Settings):
        self._redis: Any = redis
        self._name = f"{settings.key_prefix}:keys"
        self._known: dict[str, tuple[float, _Kept | None]] = {}  # by id, until when
        self._revoked = 0

    async def make(self, name: str, tenant: str, scopes: Iterable[Scope]) -> tuple[Key, str]:
        """And what its holder has to send, which nobody can tell again. Raises TooManyKeys."""
        key = Key(secrets.token_hex(8), name, tenant, frozenset(scopes), now_ms())
        secret = f"bqk_{key.id}_{secrets.token_urlsafe(SECRET_BYTES)}"
        if await _answered(self._redis.hlen(self._name)) >= MOST:
            raise TooManyKeys(f"There are {MOST} keys already: revoke some")
        kept = {"name": name, "tenant": tenant, "scopes": sorted(key.scopes), "created": key.created}
        await _answered(self._redis.hset(self._name, key.id, orjson.dumps(kept | {"hash": _hash(secret.encode())})))
        self._known.pop(key.id, None)
        return key, secret

    async def all(self) -> list[Key]:
        """The newest first."""
        found = await _answered(self._redis.hgetall(self._name))
        keys = [_read(key_id.decode(), row)[0] for key_id, row in found.items()]
        return sorted(keys, key=lambda key: (key.created, key.id), reverse=True)

    async def revoke(self, key_id: str) -> bool:
        try:
            return bool(await _answered(self._redis.hdel(self._name, key_id)))
        finally:  # not before: who is asked meanwhile would find it again
            self._known.pop(key_id, None)
            self._revoked += 1

    async def by_secret(self, secret: bytes) -> Key | None:
        form = _FORM.fullmatch(secret)
        kept = await self._find(form[1].decode()) if form else None
        return kept[0] if kept and hmac.compare_digest(kept[1], _hash(secret)) else None

    async def by_id(self, key_id: str) -> Key | None:
        """None once it is revoked."""
        kept = await self._find(key_id)
        return kept[0] if kept else None

    async def _find(self, key_id: str) -> _Kept | None:
        now = time.monotonic()
        until, kept = self._known.get(key_id, (0.0, None))
        if until > now:
            return kept
        revoked = self._revoked
        row = await _answered(self._redis.hget(self._name, key_id))
        kept = _read(key_id, row) if row else None
        if revoked != self._revoked:  # it may have been this one, after it was read
            return kept
        if len(self._known) >= REMEMBERED:  # strangers make up ids
            self._known.clear()
        self._known[key_id] = (now + KNOWN_SECONDS, kept)
        return kept


def _hash(secret: bytes) -> str:
    """A plain hash is enough for 256 random bits: there is nothing to guess."""
    return hashlib.sha256(secret).hexdigest()


def _read(key_id: str, row: bytes) -> _Kept:
    kept = orjson.loads(row)
    scopes = frozenset(Scope(scope) for scope in kept["scopes"])
    return Key(key_id, kept["name"], kept["tenant"], scopes, kept["created"]), kept["hash"]


async def _answered(answer: Awaitable[Any]) -> Any:
    try:
        return await answer
    except (RedisError, OSError) as error:
        raise LedgerUnavailable(f"Redis does not answer: {error}") from error
