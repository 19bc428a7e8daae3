"""The routes that the three backend services have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from booking_queue.backends.base import Published
from booking_queue.ledger.ledger import LegRef
from booking_queue.web.direct import BackendService, Refusal, Submitted
from booking_queue.web.problems import Problem, conflict, not_found
from booking_queue.web.replies import JsonResponse
from booking_queue.web.schemas import MAX_BATCH, DeadLetters, LegOut, PublishIn, PublishOut


def of(request: Request) -> BackendService:
    service: BackendService = request.state.service
    return service


Service = Annotated[BackendService, Depends(of)]

router = APIRouter()


@router.post("/publish", response_model=PublishOut, tags=["gateway"])
async def publish(body: PublishIn, service: Service) -> Response:
    """Sends legs that the ledger holds. What cannot be sent now is `pending`, never an error."""
    published = await service.publish([LegRef(leg.id, leg.generation) for leg in body.legs])
    return JsonResponse({"legs": [_leg(leg) for leg in published]})


@router.get("/stats", tags=["stats"])
async def stats(service: Service) -> dict[str, Any]:
    """The broker's counts, with `backlog` (what the broker holds that is not finished), `scheduled` (how much of it may
    not start yet) and `outbox` (legs that it was not sent yet) everywhere."""
    return await service.stats()


@router.get("/dead-letters", response_model=DeadLetters, tags=["dead letters"])
async def dead_letters(service: Service, count: Annotated[int, Query(ge=1, le=MAX_BATCH)] = 100) -> Response:
    """Newest first, with the broker's own fields. Of more than 2 KiB of data only the beginning is shown, with the size
    in `bytes`."""
    return JsonResponse({"deadLetters": await service.publisher.dead_letters(count)})


@router.post("/dead-letters/{id}/redrive", response_model=LegOut, status_code=202, tags=["dead letters"])
async def redrive(id: Annotated[str, Path(max_length=200)], service: Service) -> Response:
    """Starts a dead job over on this backend."""
    await service.pressure.must_have_room()
    answer = await service.publisher.redrive(id)
    if isinstance(answer, str):
        raise _no_letter(answer)
    return JsonResponse(_leg(answer), 202)


@router.delete("/dead-letters/{id}", tags=["dead letters"])
async def discard(id: Annotated[str, Path(max_length=200)], service: Service) -> dict[str, Any]:
    """Takes a dead job out of the dead letters; its record stays."""
    outcome = await service.publisher.discard(id)
    if outcome == "discarded":
        return {"id": id, "outcome": outcome}
    raise _no_letter(outcome)


def _no_letter(why: str) -> Problem:
    return not_found("Job not found") if why == "unknown" else conflict(f"The job is {why}, not a dead letter")


def _leg(leg: Published) -> dict[str, Any]:
    return {"id": leg.job_id, "state": leg.state, "receipt": leg.receipt, "waits": leg.waits}


def batch_answer(
    answers: Sequence[Submitted | Refusal], shape: Callable[[Submitted], dict[str, Any]]
) -> dict[str, Any]:
    """One answer per item: that of a single post, or `status` refused with `error` and `errors`."""
    items = [
        {"index": index, **shape(answer)}
        if isinstance(answer, Submitted)
        else {"index": index, "status": "refused", "error": answer.error, "errors": answer.errors}
        for index, answer in enumerate(answers)
    ]
    accepted = sum(isinstance(answer, Submitted) for answer in answers)
    return {"accepted": accepted, "refused": len(items) - accepted, "items": items}
