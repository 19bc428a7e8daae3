"""Many bookings in one request: each is read, accepted and answered for by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from api_service import bodies, views
from api_service.answers import BatchAnswer, BatchItem
from api_service.fanout import Fanout
from api_service.link import Sent
from api_service.schemas import NewBooking
from booking_queue.domain.job import Backend, NewJob
from booking_queue.web import outages
from booking_queue.web.body import LIMIT
from booking_queue.web.problems import OVERLOADED_SECONDS, FieldError, Problem
from booking_queue.web.replies import JsonResponse
from booking_queue.web.validation import problem_of

Job = tuple[NewJob, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an item was not accepted. `for_now`: sent again it may be."""

    error: str
    errors: Sequence[FieldError] = ()
    for_now: bool = False


def read(item: Any, *, simulation: bool, tenant: str) -> NewBooking | Refused:
    raw = orjson.dumps(item)
    if len(raw) > LIMIT:
        return Refused(f"The item is larger than {LIMIT} bytes")
    try:
        return bodies.read(NewBooking, raw, simulation=simulation, tenant=tenant)
    except RequestValidationError as error:
        problem = problem_of(error)
        return Refused(problem.error, problem.errors)


async def submit(fanout: Fanout, items: Sequence[Job | Refused]) -> Response:
    """Raises Overloaded and LedgerUnavailable where no item was accepted for it. Where some were, and others refused
    for now, the answer tells when to send it again."""
    jobs = [item for item in items if not isinstance(item, Refused)]
    outcomes = iter(await fanout.submit_many(jobs))
    answers = [item if isinstance(item, Refused) else _outcome(item[0], next(outcomes)) for item in items]
    shown = [_shown(index, answer) for index, answer in enumerate(answers)]
    accepted = sum(not isinstance(answer, Refused) for answer in answers)
    if accepted:
        told: BatchAnswer = {"accepted": accepted, "refused": len(shown) - accepted, "items": shown}
        again = any(isinstance(answer, Refused) and answer.for_now for answer in answers)
        return JsonResponse(told, 202, {"Retry-After": str(OVERLOADED_SECONDS)} if again else None)
    errors = [
        FieldError(f"bookings.{index}.{error.field}", error.message, error.code)
        for index, answer in enumerate(answers)
        if isinstance(answer, Refused)
        for error in answer.errors
    ]
    raise Problem(400, "No item of the batch was accepted", errors=errors[:100], extra={"items": shown})


Accepted = tuple[str, dict[Backend, Sent]]


def _outcome(job: NewJob, outcome: dict[Backend, Sent] | Exception) -> Accepted | Refused:
    if isinstance(outcome, Exception):
        return Refused(outages.for_now(outcome), for_now=True)
    return job.id, outcome


def _shown(index: int, answer: Accepted | Refused) -> BatchItem:
    if isinstance(answer, Refused):
        errors = [{"field": each.field, "message": each.message, "code": each.code} for each in answer.errors]
        return {"index": index, "status": "refused", "error": answer.error, "errors": errors}
    booking_id, sent = answer
    return {
        "index": index,
        "status": "accepted",
        "bookingId": booking_id,
        "queues": views.queues(booking_id, sent),
        "links": views.links(booking_id),
    }
