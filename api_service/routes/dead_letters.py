"""The dead letters of all backends: look at them, let them run again, or put them away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Self

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from starlette.responses import Response

from api_service import answers, dead_letters
from api_service.dead_letters import Filter, Letter, Mark
from api_service.gateway import Gateway, Running
from api_service.link import Sent
from booking_queue.domain.access import Key, Scope
from booking_queue.domain.job import Backend, State
from booking_queue.web.auth import Asking, needs
from booking_queue.web.problems import FieldError, Problem, conflict, not_found
from booking_queue.web.replies import JsonResponse
from booking_queue.web.schemas import JobType

router = APIRouter(prefix="/api/dead-letters", tags=["dead letters"])

MOST = 1000
AT_A_TIME = 50
UNKNOWN = "unknown"
_WHY = {
    "compensating": "What was charged for it is being given back: try again in a moment",
    "not to be edited": "Another backend has done it or is at it: only a job that is dead everywhere can be edited",
    "sold": "What it asks for is paid and sold: it can run again as it is, not with other data",
}


def _known_cursor(cursor: str) -> str:
    Mark.of(cursor)
    return cursor


Cursor = Annotated[str, StringConstraints(max_length=500), AfterValidator(_known_cursor)]
Id = Annotated[str, Path(min_length=1, max_length=200)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Redrive(_Model):
    """`to`: another backend. `data`: the payload in place of the old one; `type` goes with it, for what was no job."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"to": "rq"}})
    to: Backend | None = None
    type: JobType | None = None
    data: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _type_of_data(self) -> Self:
        if self.type is not None and self.data is None:
            raise ValueError("type must be given with the data that it is for")
        return self


class Which(_Model):
    backend: Backend
    id: str = Field(min_length=1, max_length=200)


class Matching(_Model):
    backend: Backend | None = None
    type: str | None = Field(None, max_length=50)
    q: str = Field("", max_length=100)


class Many(_Model):
    """Either the named letters, or those that match, newest first, up to `limit`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"matching": {"backend": "kafka"}}})
    items: list[Which] | None = Field(None, min_length=1, max_length=MOST)
    matching: Matching | None = None
    limit: int = Field(MOST, ge=1, le=MOST, strict=True)
    cursor: Cursor | None = Field(None, description="`nextCursor` of the answer before: what is refused stays")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.items is None) == (self.matching is None):
            raise ValueError("items or matching must be given, not both")
        return self


class RedriveMany(Many):
    to: Backend | None = None


@router.get("", response_model=answers.LetterPage)
@needs(Scope.OPS_READ)
async def list_dead_letters(  # noqa: PLR0913, PLR0917 - a query each
    gateway: Running,
    caller: Asking,
    cursor: Annotated[Cursor | None, Query(description="`nextCursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    backend: Backend | None = None,
    type: Annotated[str | None, Query(max_length=50)] = None,
    q: Annotated[str, Query(max_length=100, description="An id, a user, a hotel, or a part of the reason.")] = "",
) -> Response:
    """Newest first. A page that is filtered may be short before the end is reached: go on until `nextCursor` is
    null."""
    after = Mark.of(cursor) if cursor else None
    letters, mark = await gateway.inbox.page(Filter(caller.tenant, backend, type, q), after, limit)
    found: answers.LetterPage = {
        "items": [dead_letters.shown(letter) for letter in letters],
        "nextCursor": mark.cursor if mark else None,
    }
    return JsonResponse(found)


@router.get("/{backend}/{id}", response_model=answers.InspectedLetter)
@needs(Scope.OPS_READ)
async def get_dead_letter(backend: Backend, id: Id, gateway: Running, caller: Asking) -> Response:
    """With its options, its place at the broker, and all that happened to it."""
    letter = await _existing(gateway, backend, id, caller)
    return JsonResponse(await gateway.inbox.inspect(letter))


@router.post("/redrive", status_code=202, response_model=answers.RedrivenLetters)
@needs(Scope.OPS_WRITE)
async def redrive_many(body: RedriveMany, gateway: Running, caller: Asking) -> Response:
    """Lets many run again, on their backend or on another; one answer each."""

    async def one(which: Which) -> answers.LetterOutcome:
        seen = await _sees(gateway, caller, which.id)
        to = body.to or which.backend
        outcome = await gateway.inbox.redrive(which.id, which.backend, to) if seen else UNKNOWN
        if isinstance(outcome, Sent):
            return {"backend": which.backend, "id": which.id, "outcome": "redriven", "state": outcome.state}
        return {"backend": which.backend, "id": which.id, "outcome": "refused", "error": _reason(outcome)}

    items, more = await _each(gateway, body, caller, one)
    done = sum(each["outcome"] == "redriven" for each in items)
    told: answers.RedrivenLetters = {"redriven": done, "refused": len(items) - done, "items": items, "nextCursor": more}
    return JsonResponse(told, 202)


@router.post("/discard", response_model=answers.DiscardedLetters)
@needs(Scope.OPS_WRITE)
async def discard_many(body: Many, gateway: Running, caller: Asking) -> Response:
    """Puts many away; one answer each. Their records stay."""

    async def one(which: Which) -> answers.LetterOutcome:
        seen = await _sees(gateway, caller, which.id)
        outcome = await gateway.inbox.discard(which.id, which.backend) if seen else UNKNOWN
        if outcome == "discarded":
            return {"backend": which.backend, "id": which.id, "outcome": "discarded"}
        return {"backend": which.backend, "id": which.id, "outcome": "refused", "error": _reason(outcome)}

    items, more = await _each(gateway, body, caller, one)
    done = sum(each["outcome"] == "discarded" for each in items)
    bad = len(items) - done
    told: answers.DiscardedLetters = {"discarded": done, "refused": bad, "items": items, "nextCursor": more}
    return JsonResponse(told)


@router.post("/{backend}/{id}/redrive", status_code=202, response_model=answers.RedrivenLetter)
@needs(Scope.OPS_WRITE)
async def redrive(backend: Backend, id: Id, gateway: Running, caller: Asking, body: Redrive | None = None) -> Response:
    """Lets it run again: where it died or elsewhere, as it was or with other data. It has all its attempts anew, and
    what was simulated is over."""
    asked = body or Redrive()
    letter = await _existing(gateway, backend, id, caller)
    kind = asked.type or letter.record.type
    edit = dead_letters.edit(letter.record, kind, asked.data) if asked.data is not None else None
    to = asked.to or backend
    outcome = await gateway.inbox.redrive(id, backend, to, edit)
    if isinstance(outcome, str):
        raise _refusal(outcome)
    told: answers.RedrivenLetter = {"id": id, "backend": to, "state": outcome.state, "receipt": outcome.receipt}
    return JsonResponse(told, 202)


@router.delete("/{backend}/{id}", response_model=answers.DiscardedLetter)
@needs(Scope.OPS_WRITE)
async def discard(backend: Backend, id: Id, gateway: Running, caller: Asking) -> Response:
    """Out of the inbox. Its record stays as long as others do."""
    seen = await _sees(gateway, caller, id)
    outcome = await gateway.inbox.discard(id, backend) if seen else UNKNOWN
    if outcome != "discarded":
        raise _refusal(outcome)
    told: answers.DiscardedLetter = {"id": id, "backend": backend, "outcome": "discarded"}
    return JsonResponse(told)


async def _sees(gateway: Gateway, caller: Key, job_id: str) -> bool:
    """A tenant sees its own alone; of all others it is told what it is told of those that never were."""
    record = await gateway.ledger.get(job_id) if caller.tenant else None
    return not caller.tenant or (record is not None and caller.sees(record.tenant))


async def _existing(gateway: Gateway, backend: Backend, job_id: str, caller: Key) -> Letter:
    record = await gateway.ledger.get(job_id)
    leg = record.legs.get(backend) if record and caller.sees(record.tenant) else None
    if record is None or leg is None:
        raise not_found("Job not found")
    if leg.state is not State.DEAD:
        raise conflict(f"The job is {leg.state} on {backend}, not dead")
    return Letter(Mark(leg.finished or 0, job_id, backend), record)


async def _each(
    gateway: Gateway, body: Many, caller: Key, one: Callable[[Which], Awaitable[answers.LetterOutcome]]
) -> tuple[list[answers.LetterOutcome], str | None]:
    chosen, mark = body.items or [], None
    if body.matching:
        wanted = Filter(caller.tenant, body.matching.backend, body.matching.type, body.matching.q)
        chosen, mark = await _matching(gateway, wanted, body)
    told: list[answers.LetterOutcome] = []
    for first in range(0, len(chosen), AT_A_TIME):
        told += await asyncio.gather(*(one(which) for which in chosen[first : first + AT_A_TIME]))
    return told, mark.cursor if mark else None


async def _matching(gateway: Gateway, wanted: Filter, body: Many) -> tuple[list[Which], Mark | None]:
    found: list[Letter] = []
    mark = Mark.of(body.cursor) if body.cursor else None
    while len(found) < body.limit:
        letters, mark = await gateway.inbox.page(wanted, mark, min(100, body.limit - len(found)))
        found += letters
        if mark is None:
            break
    return [Which(backend=letter.mark.backend, id=letter.record.id) for letter in found], mark


def _reason(outcome: str) -> str:
    return _WHY.get(outcome, f"The job is {outcome}, not dead")


def _refusal(outcome: str) -> Problem:
    if outcome == "unknown":
        return not_found("Job not found")
    if outcome == "unreadable":
        error = FieldError("data", "this letter is no job: send the type and the data that it should have", "missing")
        return Problem(400, f"{error.field}: {error.message}", errors=[error])
    return conflict(_reason(outcome))
