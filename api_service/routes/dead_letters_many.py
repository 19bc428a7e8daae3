"""Many dead letters at once, by name or by filter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from api_service import answers
from api_service.dead_letters import Filter, Letter, Mark
from api_service.gateway import Gateway, Running
from api_service.link import Sent
from api_service.routes.dead_letters import UNKNOWN, Cursor, reason, sees
from booking_queue.domain.access import Key, Scope
from booking_queue.domain.errors import LedgerUnavailable, Overloaded
from booking_queue.domain.job import Backend
from booking_queue.tasks import outcomes
from booking_queue.web.auth import Asking, needs
from booking_queue.web.outages import for_now
from booking_queue.web.replies import JsonResponse

router = APIRouter(prefix="/api/dead-letters", tags=["dead letters"])

MOST = 1000
AT_A_TIME = 50
NOT_TRIED = "Not tried: the ledger did not answer for those before it"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


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


@router.post("/redrive", status_code=202, response_model=answers.RedrivenLetters)
@needs(Scope.OPS_WRITE)
async def redrive_many(body: RedriveMany, gateway: Running, caller: Asking) -> Response:
    """Lets many run again, on their backend or on another; one answer each."""
    await gateway.pressure.must_have_room()

    async def one(which: Which) -> answers.LetterOutcome:
        seen = await sees(gateway, caller, which.id)
        to = body.to or which.backend
        outcome = await gateway.inbox.redrive(which.id, which.backend, to) if seen else UNKNOWN
        if isinstance(outcome, Sent):
            return {"backend": which.backend, "id": which.id, "outcome": "redriven", "state": outcome.state}
        return _refused(which, reason(outcome))

    items, more = await _each(gateway, body, caller, one)
    done = sum(each["outcome"] == "redriven" for each in items)
    told: answers.RedrivenLetters = {"redriven": done, "refused": len(items) - done, "items": items, "nextCursor": more}
    return JsonResponse(told, 202)


@router.post("/discard", response_model=answers.DiscardedLetters)
@needs(Scope.OPS_WRITE)
async def discard_many(body: Many, gateway: Running, caller: Asking) -> Response:
    """Puts many away; one answer each. Their records stay."""

    async def one(which: Which) -> answers.LetterOutcome:
        seen = await sees(gateway, caller, which.id)
        outcome = await gateway.inbox.discard(which.id, which.backend) if seen else UNKNOWN
        if outcome == "discarded":
            return {"backend": which.backend, "id": which.id, "outcome": "discarded"}
        return _refused(which, reason(outcome))

    items, more = await _each(gateway, body, caller, one)
    done = sum(each["outcome"] == "discarded" for each in items)
    bad = len(items) - done
    told: answers.DiscardedLetters = {"discarded": done, "refused": bad, "items": items, "nextCursor": more}
    return JsonResponse(told)


async def _each(
    gateway: Gateway, body: Many, caller: Key, one: Callable[[Which], Awaitable[answers.LetterOutcome]]
) -> tuple[list[answers.LetterOutcome], str | None]:
    """Where the ledger answers for none of those at a time, no more are tried: of the first that is raised."""
    chosen, mark = body.items or [], None
    if body.matching:
        wanted = Filter(caller.tenant, body.matching.backend, body.matching.type, body.matching.q)
        chosen, mark = await _matching(gateway, wanted, body)
    told: list[answers.LetterOutcome] = []
    for first in range(0, len(chosen), AT_A_TIME):
        some = chosen[first : first + AT_A_TIME]
        found = await outcomes(one(which) for which in some)
        away = [each for each in found if isinstance(each, LedgerUnavailable)]
        if len(away) == len(some) and not told:
            raise away[0]
        told += [_told(which, each) for which, each in zip(some, found, strict=True)]
        if len(away) == len(some):
            told += [_refused(which, NOT_TRIED) for which in chosen[first + AT_A_TIME :]]
            break
    return told, mark.cursor if mark else None


def _told(which: Which, found: answers.LetterOutcome | Exception) -> answers.LetterOutcome:
    if isinstance(found, Overloaded | LedgerUnavailable):
        return _refused(which, for_now(found))
    if isinstance(found, Exception):
        raise found
    return found


def _refused(which: Which, why: str) -> answers.LetterOutcome:
    return {"backend": which.backend, "id": which.id, "outcome": "refused", "error": why}


async def _matching(gateway: Gateway, wanted: Filter, body: Many) -> tuple[list[Which], Mark | None]:
    found: list[Letter] = []
    mark = Mark.of(body.cursor) if body.cursor else None
    while len(found) < body.limit:
        letters, mark = await gateway.inbox.page(wanted, mark, min(100, body.limit - len(found)))
        found += letters
        if mark is None:
            break
    return [Which(backend=letter.mark.backend, id=letter.record.id) for letter in found], mark
