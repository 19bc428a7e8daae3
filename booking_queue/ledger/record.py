"""A job's record as Python sees it. All views that routes give are derived from this; nothing is stored twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from booking_queue.domain.booking import STEP_NAMES
from booking_queue.domain.job import Backend, State


@dataclass(frozen=True, slots=True)
class Leg:
    """One job on one backend. Times in ms since 1970, None until they happen."""

    backend: Backend
    state: State
    generation: int
    attempts: int
    starts: int
    progress: int
    step: str
    worker: str
    due: int
    redrives: int
    enqueued: int | None
    started: int | None
    finished: int | None
    error: str | None
    receipt: dict[str, Any] | None
    result: Any
    limited_by: str  # the limit that holds it up; rateLimit: the job's own


@dataclass(frozen=True, slots=True)
class Effect:
    """What one step did, once for all legs. `backend` is the leg that did it."""

    state: str
    backend: str
    at: int
    result: Any


class BookingState(StrEnum):
    ACCEPTED = "accepted"
    PROCESSING = "processing"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Record:
    id: str
    type: str
    kind: str
    data: dict[str, Any]
    options: dict[str, Any]
    trace: str
    created: int
    legs: dict[Backend, Leg]
    effects: dict[str, Effect] = field(default_factory=dict)
    round: int = 1  # of effects: a compensated booking that is redriven begins the next
    tenant: str = ""  # none: the installation's own
    cancel: str = ""  # cancelling or cancelled, once that was asked for

    @property
    def booking_state(self) -> BookingState:
        if self.cancel:
            return BookingState(self.cancel)
        done = {step for step in STEP_NAMES if (fx := self.effects.get(step)) and fx.state == "done"}
        if len(done) == len(STEP_NAMES):
            return BookingState.CONFIRMED
        if "validate" in done and "rejected" in (self.effects["validate"].result or {}):
            return BookingState.REJECTED
        if all(leg.state.terminal for leg in self.legs.values()):
            return BookingState.FAILED
        if self.effects or any(leg.started for leg in self.legs.values()):
            return BookingState.PROCESSING
        return BookingState.ACCEPTED


@dataclass(frozen=True, slots=True)
class Edit:
    """What a dead job is to be instead, and the indices that it leaves and joins with that."""

    type: str
    data: dict[str, Any]
    leaves: Sequence[str] = ()
    joins: Sequence[str] = ()


def parse(job_id: str, flat: list[bytes]) -> Record | None:
    """Of HGETALL's names and values in turn; None when there is no such job."""
    if not flat:
        return None
    # One that cannot be read must not hide a page of others: what a letter quotes of its broker may be cut anywhere.
    fields = {flat[i].decode(): flat[i + 1].decode(errors="replace") for i in range(0, len(flat), 2)}
    legs = {Backend(name): _leg(Backend(name), fields) for name in fields["legs"].split(",")}
    effects = {
        name.removeprefix("fx."): _effect(json.loads(value))
        for name, value in fields.items()
        if name.startswith("fx.") and name != "fx.waiting"
    }
    return Record(
        id=job_id,
        type=fields["type"],
        kind=fields["kind"],
        data=json.loads(fields["data"]),
        options=json.loads(fields["options"]),
        trace=fields.get("trace", ""),
        created=int(fields["created"]),
        legs=legs,
        effects=effects,
        round=int(fields.get("round", "1")),
        tenant=fields.get("tenant", ""),
        cancel=fields.get("cancel", ""),
    )


def _leg(backend: Backend, fields: dict[str, str]) -> Leg:
    def get(name: str) -> str | None:
        return fields.get(f"{backend}.{name}") or None

    def number(name: str) -> int:
        return int(get(name) or 0)

    def moment(name: str) -> int | None:
        value = get(name)
        return int(value) if value else None

    def loaded(name: str) -> Any:
        value = get(name)
        return json.loads(value) if value else None

    limit = get("limited") or ""
    return Leg(
        backend=backend,
        state=State(fields[f"{backend}.state"]),
        generation=number("gen"),
        attempts=number("attempt"),
        starts=number("starts"),
        progress=number("progress"),
        step=get("step") or "",
        worker=get("worker") or "",
        due=number("due"),
        redrives=number("redrives"),
        enqueued=moment("enqueued"),
        started=moment("started"),
        finished=moment("finished"),
        error=get("error"),
        receipt=loaded("receipt"),
        result=loaded("result"),
        limited_by="rateLimit" if limit.startswith("key:") else limit,
    )


def _effect(fx: dict[str, Any]) -> Effect:
    result = fx.get("result")
    return Effect(
        state=fx["state"],
        backend=fx.get("backend", ""),
        at=int(fx["at"]),
        result=json.loads(result) if isinstance(result, str) else result,
    )
