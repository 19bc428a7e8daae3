"""Runs the ledger's Lua operations, many in one round trip."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from booking_queue.coalesce import Coalescer
from booking_queue.domain.errors import BookingQueueError, LedgerUnavailable, Overloaded
from booking_queue.settings import Settings

Arg = str | bytes | int | float
PLAIN = frozenset((bytes, int, float))
Answer = list[Any]
Operation = tuple[str, tuple[Arg, ...]]

CORE = (
    "ledger.lua",  # first: what the others stand on
    "turns.lua",
    "limits.lua",
    "limited.lua",
    "accept.lua",
    "publish.lua",
    "outbox.lua",
    "claim.lua",
    "redrive.lua",
    "effects.lua",
    "rooms.lua",
    "compensation.lua",
    "shown.lua",
)
REFUSALS = ("OOM", "READONLY", "MISCONF", "LOADING", "NOREPLICAS")
GRACE_MS = 500  # beyond the deadline of a publish, until it is tried again
MAX_BATCH = 64  # bounds how long one script holds Redis: about 5 ms


class LedgerSilent(LedgerUnavailable):
    """The time ran out, for an answer or for a free connection."""


class LedgerBusy(LedgerUnavailable, Overloaded):
    """As many calls wait for Redis as may: this one was not sent."""


class OperationFailed(BookingQueueError):
    """The script raised: a bug of ours, or Redis refused a write (its text says which)."""


def source(package: str, *names: str) -> str:
    return "\n".join((files(package) / name).read_text(encoding="utf-8") for name in names)


def _plain(op: str, arg: Arg) -> Arg:
    """Text as bytes, and what an enum's member stands for. Raises OperationFailed: what Redis cannot take would fail
    its whole batch."""
    if isinstance(arg, str):
        try:
            return arg.encode()
        except UnicodeEncodeError:
            raise OperationFailed(f"{op}: an argument is no text, though it is a str") from None
    if isinstance(arg, int) and not isinstance(arg, bool):
        return int(arg)
    raise OperationFailed(f"{op}: an argument is of a kind that Redis cannot take")


class Scripts:
    """One library of operations on one connection. `extra` is the Lua of a backend that lives in Redis too."""

    def __init__(self, redis: Redis, settings: Settings, extra: str = ""):
        self.redis = redis
        self._config: tuple[Arg, ...] = (
            settings.key_prefix,
            settings.name_prefix,
            settings.ledger_retention * 1000,
            int(settings.lease_seconds * 1000),
            int(settings.publish_deadline * 1000) + GRACE_MS,
        )
        lua = source("booking_queue.ledger", *CORE)
        self._lua = "\n".join([lua, extra, source("booking_queue.ledger", "dispatch.lua")])
        self._sha = hashlib.sha1(self._lua.encode(), usedforsecurity=False).hexdigest()
        self.refused: Counter[str] = Counter()  # writes that Redis refused, by its word for it
        self.refused_at: float | None = None
        self._coalesced: Coalescer[Operation, Answer] = Coalescer(
            self._run, max_batch=MAX_BATCH, full=LedgerBusy, silent=LedgerSilent
        )

    @property
    def round_trips(self) -> int:
        return self._coalesced.batches

    @property
    def operations(self) -> int:
        return self._coalesced.items

    async def call(self, op: str, *args: Arg) -> Answer:
        """Raises LedgerUnavailable when Redis does not answer: the operation may or may not have taken effect; and
        LedgerBusy when too many wait for it."""
        return await self._coalesced((op, tuple(arg if type(arg) in PLAIN else _plain(op, arg) for arg in args)))

    async def _run(self, batch: list[Operation]) -> Sequence[Answer | BaseException]:
        flat: list[Arg] = list(self._config)
        for op, args in batch:
            flat += (op, len(args), *args)
        try:
            try:
                answers = await self.redis.evalsha(self._sha, 0, *flat)
            except NoScriptError:
                answers = await self.redis.eval(self._lua, 0, *flat)
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            timed_out = any(isinstance(each, RedisTimeoutError | TimeoutError) for each in (error, error.__cause__))
            kind = LedgerSilent if timed_out else LedgerUnavailable
            raise kind(f"Redis does not answer: {error}") from error
        except ResponseError as error:
            self._note(f"{getattr(error, 'status_code', None) or ''} {error}".strip(), len(batch))
            raise LedgerUnavailable(f"Redis refuses: {error}") from error
        except RedisError as error:
            raise LedgerUnavailable(str(error)) from error
        return [answer if ok else self._failure(answer) for ok, answer in answers]

    def _note(self, message: str, writes: int = 1) -> bool:
        """Whether Redis refuses writes; redis-py takes the word off some of its errors."""
        word = next((word for word in REFUSALS if message.startswith(word)), None)
        if word:
            self.refused[word] += writes
            self.refused_at = time.monotonic()
        return word is not None

    def _failure(self, text: bytes) -> BookingQueueError:
        message = text.decode(errors="replace")
        if self._note(message):
            return LedgerUnavailable(f"Redis refuses: {message}")
        return OperationFailed(message)
