"""The dead letters of all backends: look at them, let one run again, or put it away."""

from __future__ import annotations

from typing import Annotated, Any, Self

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, model_validator
from starlette.responses import Response

from api_service import answers, dead_letters
from api_service.dead_letters import Filter, Letter, Mark
from api_service.gateway import Gateway, Running
from booking_queue.domain.access import Key, Scope
from booking_queue.domain.job import Backend, State
from booking_queue.web.auth import Asking, needs
from booking_queue.web.direct import must_not_simulate
from booking_queue.web.problems import FieldError, Problem, conflict, not_found
from booking_queue.web.replies import JsonResponse
from booking_queue.web.schemas import JobType

router = APIRouter(prefix="/api/dead-letters", tags=["dead letters"])

UNKNOWN = "unknown"
UNREADABLE = "unreadable"
_WHY = {
    UNKNOWN: "Job not found",
    UNREADABLE: "This letter is no job: send the type and the data that it should have",
    "moved or discarded": "It is in the inbox no more: it was moved to another backend, or discarded",
    "compensating": "What was charged for it is being given back: try again in a moment",
    "not to be edited": "Another backend has done it or is at it: only a job that is dead everywhere can be edited",
    "sold": "What it asks for is paid and sold: it can run again as it is, not with other data",
}


def _known_cursor(cursor: str) -> str:
    Mark.of(cursor)
    return cursor


Cursor = Annotated[str, StringConstraints(max_length=500), AfterValidator(_known_cursor)]
Id = Annotated[str, Path(min_length=1, max_length=200)]


class Redrive(BaseModel):
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
    """With its options, its place at the broker, and all that happened to it. 404 once it was moved to another backend
    or discarded; the detail says which."""
    letter = await _existing(gateway, backend, id, caller)
    told = await gateway.inbox.inspect(letter)
    if isinstance(told, str):
        raise not_found(f"This letter is in the inbox no more: it was {told}")
    return JsonResponse(told)


@router.post("/{backend}/{id}/redrive", status_code=202, response_model=answers.RedrivenLetter)
@needs(Scope.OPS_WRITE)
async def redrive(backend: Backend, id: Id, gateway: Running, caller: Asking, body: Redrive | None = None) -> Response:
    """Lets it run again: where it died or elsewhere, as it was or with other data. It has all its attempts anew, and
    what was simulated is over."""
    await gateway.pressure.must_have_room()
    asked = body or Redrive()
    letter = await _existing(gateway, backend, id, caller)
    kind = asked.type or letter.record.type
    must_not_simulate(caller.tenant, kind, asked.data or {})
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
    seen = await sees(gateway, caller, id)
    outcome = await gateway.inbox.discard(id, backend) if seen else UNKNOWN
    if outcome != "discarded":
        raise _refusal(outcome)
    told: answers.DiscardedLetter = {"id": id, "backend": backend, "outcome": "discarded"}
    return JsonResponse(told)


async def sees(gateway: Gateway, caller: Key, job_id: str) -> bool:
    """A tenant sees its own alone; of all others it is told what it is told of those that never were."""
    record = await gateway.ledger.get(job_id) if caller.tenant else None
    return not caller.tenant or (record is not None and caller.sees(record.tenant))


async def _existing(gateway: Gateway, backend: Backend, job_id: str, caller: Key) -> Letter:
    record = await gateway.ledger.get(job_id)
    leg = record.legs.get(backend) if record and caller.sees(record.tenant) else None
    if record is None or leg is None:
        raise not_found(reason(UNKNOWN))
    if leg.state is not State.DEAD:
        raise conflict(f"The job is {leg.state} on {backend}, not dead")
    return Letter(Mark(leg.finished or 0, job_id, backend), record)


def reason(outcome: str) -> str:
    return _WHY.get(outcome, f"The job is {outcome}, not dead")


def _refusal(outcome: str) -> Problem:
    why = reason(outcome)
    if outcome == UNKNOWN:
        return not_found(why)
    if outcome == UNREADABLE:
        return Problem(400, why, errors=[FieldError("data", why, "missing")])
    return conflict(why)
