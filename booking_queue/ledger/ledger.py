"""The ledger: every job's state, changed only by compare-and-set. Its Lua is beside it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from booking_queue.domain.job import Backend, NewJob, Options, State
from booking_queue.ledger.pressure import admitted
from booking_queue.ledger.record import Edit, Record, parse
from booking_queue.ledger.script import Arg, Scripts


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one leg, as long as its lease holds. `token` fences every change made under it."""

    job_id: str
    backend: Backend
    token: str
    attempt: int  # this one, from 1
    earlier_starts: int  # of this attempt, without an outcome: crashes
    type: str
    data: dict[str, Any]
    options: Options
    trace: str
    created: int
    round: int
    due: int = 0  # ms since 1970; 0 for at once
    redrives: int = 0  # of this leg, after it was dead
    redriven: int = 0  # when it was last, ms since 1970; 0 for never
    takes_place: bool = False  # a limit tells how many of its like run at a time


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an envelope may not start: missing, stale or suspect; or for `wait_ms` busy, early, turn, paused.
    Limited: the ledger keeps it in line, and sends a newer copy once it may start."""

    reason: str
    wait_ms: int = 0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a publisher outside Redis has to send; `state` dead asks for a dead letter."""

    job_id: str
    state: State
    due: int
    attempt: int
    error: str | None
    type: str
    data: dict[str, Any]
    options: Options
    trace: str
    now: int
    order: str  # its ordering key, by the name that is its tenant's own


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing to send: unknown, superseded (a newer generation), sent (before), or waits for the turn of its key."""

    reason: str
    state: State | None = None
    receipt: dict[str, Any] | None = None

    @property
    def waits(self) -> bool:
        return self.reason == "waits"


@dataclass(frozen=True, slots=True)
class LegRef:
    job_id: str
    generation: int


RAW_BYTES = 16_384  # kept of what cannot be read


def dumps(value: Any) -> bytes:
    return orjson.dumps(value)


def text(value: bytes | None) -> str:
    return value.decode() if value else ""


class Ledger:
    """Raises LedgerUnavailable from every method when Redis does not answer."""

    def __init__(self, scripts: Scripts):
        self.scripts = scripts

    async def accept(self, job: NewJob, indices: Sequence[str] = ()) -> int:
        """Writes the record and one outbox row a backend, once an id. When that was (ms). Raises Overloaded."""
        answer = await self.scripts.call(
            "accept",
            job.id,
            job.type,
            dumps(job.data),
            job.options.model_dump_json(by_alias=True, exclude_defaults=True),
            job.trace,
            job.options.delay,
            ",".join(job.backends),
            job.tenant,
            *indices,
        )
        return int(admitted(answer)[1])

    async def get(self, job_id: str) -> Record | None:
        return parse(job_id, await self.scripts.call("get", job_id))

    async def claim(  # noqa: PLR0913 - the last by name
        self, job_id: str, backend: Backend, generation: int, worker: str, nonce: str = "", *, alone: bool = True
    ) -> Claim | Refused:
        """`nonce`: of this call and its repetitions, so that one whose answer was lost gets the same answer again.
        `alone`: it runs in a process of its own, so that it may be one that kills its process."""
        nonce = nonce or secrets.token_hex(8)
        answer = await self.scripts.call("claim", job_id, backend, generation, worker, nonce, int(alone))
        if answer[0] != b"claimed":
            wait = answer[1] if len(answer) > 1 and isinstance(answer[1], int) else 0
            return Refused(text(answer[0]), wait)
        _, token, attempt, starts, kind, data, options, trace, created, round_, due, redrives, place, redriven = answer
        return Claim(
            job_id=job_id,
            backend=backend,
            token=text(token),
            attempt=int(attempt) + 1,
            earlier_starts=int(starts),
            type=text(kind),
            data=orjson.loads(data),
            options=Options.of(orjson.loads(options)),
            trace=text(trace),
            created=int(created),
            round=int(round_),
            due=int(due),
            redrives=int(redrives),
            redriven=int(redriven),
            takes_place=bool(place),
        )

    async def _owned(self, op: str, claim: Claim, *args: Arg) -> bool:
        """False: the lease is lost and nothing was changed."""
        return bool((await self.scripts.call(op, claim.job_id, claim.backend, claim.token, *args))[0])

    async def extend(self, claim: Claim) -> bool:
        return await self._owned("extend", claim)

    async def complete(self, claim: Claim, result: Any) -> bool:
        return await self._owned("complete", claim, dumps(result))

    async def release(self, claim: Claim) -> bool:
        return await self._owned("release", claim)

    async def crashed(self, claim: Claim, why: str) -> bool:
        """One more start without an outcome, and the next begins."""
        return await self._owned("crashed", claim, why, claim.earlier_starts + 1)

    async def bury(self, claim: Claim, reason: str, *, killer: bool = False) -> bool:
        """For brokers outside Redis: an outbox row keeps the dead letter until it is sent."""
        return await self._owned("bury", claim, reason, int(killer))

    async def retry(self, claim: Claim, error: str, delay_ms: int) -> LegRef | None:
        """For brokers outside Redis. The next generation, or None when the lease is lost."""
        generation = (await self.scripts.call("retry", claim.job_id, claim.backend, claim.token, error, delay_ms))[0]
        return LegRef(claim.job_id, int(generation)) if generation else None

    async def progress(self, claim: Claim, step: str, percent: int) -> bool:
        return await self._owned("progress", claim, step, percent)

    async def outgoing(self, leg: LegRef, backend: Backend) -> Outgoing | NotSent:
        answer = await self.scripts.call("outgoing", leg.job_id, backend, leg.generation)
        if answer[0] != b"send":
            state, receipt = answer[1], answer[2]
            known = State(text(state)) if state else None
            return NotSent(text(answer[0]), known, orjson.loads(receipt) if receipt else None)
        _, state, due, attempt, error, kind, data, options, trace, now, order = answer
        return Outgoing(
            job_id=leg.job_id,
            state=State(text(state)),
            due=int(due),
            attempt=int(attempt),
            error=text(error) or None,
            type=text(kind),
            data=orjson.loads(data),
            options=Options.of(orjson.loads(options)),
            trace=text(trace),
            now=int(now),
            order=text(order),
        )

    async def published(
        self, leg: LegRef, backend: Backend, receipt: dict[str, Any] | None, state: State = State.QUEUED
    ) -> None:
        """The broker has it. No receipt: keep the one there is (a dead letter is not a new place)."""
        place = dumps(receipt) if receipt else ""
        await self.scripts.call("published", leg.job_id, backend, leg.generation, state, place)

    async def postpone(self, leg: LegRef, backend: Backend) -> None:
        """Leave it in the outbox until it is due: for a broker that cannot delay."""
        await self.scripts.call("postpone", leg.job_id, backend, leg.generation)

    async def redrive(self, job_id: str, backend: Backend) -> LegRef | str:
        """The new generation, to be published; or why not: unknown, compensating, moved or discarded, or a state.
        Raises Overloaded."""
        answer = admitted(await self.scripts.call("redrive", job_id, backend))
        return LegRef(job_id, int(answer[1])) if answer[0] == b"redriven" else text(answer[0])

    async def redrive_as(self, job_id: str, backend: Backend, to: Backend, edit: Edit | None = None) -> LegRef | str:
        """As `redrive`; on another backend, or edited, which only a job that no leg has done may be. Where it is not
        dead there: its state, ` on ` and the backend."""
        edited: list[Arg] = [edit.type, dumps(edit.data), len(edit.leaves), *edit.leaves, *edit.joins] if edit else []
        answer = admitted(await self.scripts.call("redrive_as", job_id, backend, to, *edited))
        return LegRef(job_id, int(answer[1])) if answer[0] == b"redriven" else text(answer[0])

    async def discard(self, job_id: str, backend: Backend) -> str:
        """Out of the inbox of dead letters: `discarded`, or why not: its state, unknown, or moved or discarded."""
        return text((await self.scripts.call("discard", job_id, backend))[0])

    async def letter(self, letter_id: str, backend: Backend, kind: str, raw: bytes, reason: str) -> None:
        """Bytes that can be no job, noted as a dead letter of its own."""
        await self.scripts.call("letter", letter_id, backend, kind, raw[:RAW_BYTES].decode(errors="replace"), reason)

    async def adopt(self, job_id: str, backend: Backend, kind: str, data: dict[str, Any], options: Options) -> bool:
        """A record for a job that came onto the broker without us. False when there is one already."""
        shown = options.model_dump_json(by_alias=True, exclude_defaults=True)
        answer = await self.scripts.call("adopt", job_id, backend, kind, dumps(data), shown)
        return bool(answer[0] == b"adopted")

    async def following(self, claim: Claim) -> list[LegRef]:
        """What the end of this job let go on and was not sent: the next of its ordering key, or under its limits."""
        if not (claim.options.ordering_key or claim.takes_place):
            return []
        answer = await self.scripts.call("following", claim.job_id, claim.backend)
        return [LegRef(text(answer[i]), int(answer[i + 1])) for i in range(0, len(answer), 2)]
