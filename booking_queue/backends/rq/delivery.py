"""One RQ job in hand."""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from booking_queue.backends.envelope import Envelope
from booking_queue.backends.rq.payload import asked, loaded
from booking_queue.backends.rq.strangers import is_stranger
from booking_queue.domain.errors import UnreadableMessage
from booking_queue.ledger.ledger import Claim, dumps
from booking_queue.ledger.script import Arg, Scripts


@dataclass(slots=True)
class Entry:
    """Where a job stands in a started registry, and as which execution."""

    job_id: str
    queue: str
    execution: str
    worker: str


@dataclass(slots=True)
class Taken:
    """A job just taken. `known`: the ledger has it; otherwise somebody else put it on the queue."""

    entry: Entry
    known: bool
    data: bytes
    meta: bytes
    attempts: int
    due: int
    retries_left: int | None
    timeout: int | None

    @classmethod
    def of(cls, answer: list[Any], worker: str) -> Taken:
        job_id, queue, execution, known, data, meta, attempts, due, retries_left, timeout = answer
        entry = Entry(job_id.decode(), queue.decode(), execution.decode(), worker)
        return cls(entry, bool(known), data, meta, int(attempts), int(due), number(retries_left), number(timeout))


def number(raw: bytes) -> int | None:
    """RQ's numbers, as far as they are whole and not negative."""
    return int(raw) if raw.isdigit() and len(raw) < 12 else None


def encoded(text: bytes) -> bytes:
    return base64.b64encode(text)


class RqDelivery:
    """Every verb is one operation: the ledger's compare-and-set and RQ's writes together."""

    def __init__(self, scripts: Scripts, entry: Entry, envelope: Envelope, meta: dict[str, Any], tally: Counter[str]):
        self.envelope = envelope
        self._scripts = scripts
        self._entry = entry
        self._meta = meta
        self._tally = tally

    @property
    def foreign(self) -> bool:
        return is_stranger(self._meta)

    @classmethod
    def of(
        cls, scripts: Scripts, taken: Taken, types: Collection[str], tally: Counter[str] | None = None
    ) -> RqDelivery:
        """Raises UnreadableMessage."""
        kind, data = asked(taken.data, types)
        meta = loaded(taken.meta)
        generation, trace = meta.get("generation", 1), meta.get("traceparent", "")
        if type(generation) is not int or not isinstance(trace, str):
            raise UnreadableMessage("the job's meta has a generation or traceparent of another kind than ours")
        envelope = Envelope(
            id=taken.entry.job_id,
            type=kind,
            data=data,
            generation=generation,
            attempt=taken.attempts + 1,
            not_before=taken.due,
            trace=trace,
        )
        return cls(scripts, taken.entry, envelope, meta, Counter() if tally is None else tally)

    async def _do(self, op: str, claim: Claim | None, *args: Arg) -> bool:
        return await do(self._scripts, op, self._entry, claim, *args)

    async def extend(self, claim: Claim | None) -> bool:
        return await self._do("rq_extend", claim)

    async def ack(self, claim: Claim | None, result: Any = None) -> bool:
        if claim is None:
            return await self._do("rq_drop", None)
        text = dumps(result)
        stays = int(claim.options.remove_on_complete is False)
        done = await self._do("rq_ack", claim, text, b"" if result is None else encoded(text), stays)
        self._tally["successful_job_count"] += done
        return done

    async def retry(self, claim: Claim, error: str, delay_ms: int) -> bool:
        return await self._do("rq_retry", claim, error, delay_ms, dumps(self.next_meta))

    @property
    def next_meta(self) -> dict[str, Any]:
        """What a stranger noted stays."""
        return {**self._meta, "generation": self.envelope.generation + 1, "traceparent": self.envelope.trace}

    async def bury(self, claim: Claim | None, reason: str, *, killer: bool = False) -> bool:
        if claim:
            done = await self._do("rq_bury", claim, *reasons(reason), int(killer))
        else:
            done = await self._do("rq_condemn", None, *reasons(reason))
        self._tally["failed_job_count"] += done
        return done

    async def release(self, claim: Claim | None) -> None:
        await self._do("rq_release", claim)


async def do(scripts: Scripts, op: str, entry: Entry, claim: Claim | None, *args: Arg) -> bool:
    token = claim.token if claim else ""
    answer = await scripts.call(op, entry.job_id, entry.queue, entry.execution, entry.worker, token, *args)
    return bool(answer[0])


def reasons(reason: str) -> tuple[bytes, bytes]:
    """As text, and as RQ keeps it in a job's results."""
    text = reason.encode(errors="replace")
    return text, encoded(zlib.compress(text))
