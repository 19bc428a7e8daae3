"""Jobs of the RQ queue, in the words that its users know."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import APIRouter, Path, Query

from booking_queue.backends.rq_queue import STATES, RqPublisher
from booking_queue.domain.access import Scope
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.record import Leg, Record
from booking_queue.web.auth import Asking, needs
from booking_queue.web.backend_routes import batch_answer
from booking_queue.web.backend_service import MISSING, Service, Submitted
from booking_queue.web.problems import FieldError, Problem, not_found
from booking_queue.web.schemas import Batch, DelayedJob, DirectJob
from booking_queue.web.validation import from_fields, on_invalid

FARTHEST = 2**31 - 1
MOST = 1000  # jobs a list
IN_OLD_WORDS = {
    State.PENDING: "waiting",
    State.QUEUED: "waiting",
    State.DELAYED: "delayed",
    State.RETRYING: "delayed",
    State.ACTIVE: "active",
    State.COMPLETED: "completed",
    State.DEAD: "failed",
    State.CANCELLING: "cancelling",
    State.CANCELLED: "cancelled",
}
OF_RQ = {"queued": "waiting", "scheduled": "delayed", "started": "active", "finished": "completed", "failed": "failed"}

JobId = Annotated[str, Path(max_length=200)]

router = APIRouter(prefix="/jobs", tags=["jobs"])


def publisher_of(service: Service) -> RqPublisher:
    return cast(RqPublisher, service.publisher)


@router.post("", status_code=201)
@needs(Scope.BOOKINGS_WRITE)
@on_invalid(MISSING)
async def add_job(body: DirectJob, service: Service, caller: Asking) -> dict[str, Any]:
    """Puts a job on the queue."""
    return queued(await service.submit(body, caller.tenant))


@router.post("/delayed", status_code=201)
@needs(Scope.BOOKINGS_WRITE)
@on_invalid("Missing type, data or delay")
async def add_delayed_job(body: DelayedJob, service: Service, caller: Asking) -> dict[str, Any]:
    """Puts a job on the queue that starts after `delay` milliseconds, never before."""
    return scheduled(await service.submit(body, caller.tenant))


@router.post("/batch", status_code=201)
@needs(Scope.BOOKINGS_WRITE)
async def add_jobs(body: Batch, service: Service, caller: Asking) -> dict[str, Any]:
    """Up to 1,000 jobs, with an answer each; an item with `delay` is a delayed job."""
    return batch_answer(await service.submit_many(body.items, caller.tenant), shaped)


def queued(job: Submitted) -> dict[str, Any]:
    return {"jobId": job.job_id, "name": job.type, "data": job.data, "status": job.status}


def scheduled(job: Submitted) -> dict[str, Any]:
    return {
        "jobId": job.job_id,
        "name": job.type,
        "delay": job.options.delay,
        "scheduledFor": job.scheduled_for,
        "status": "pending" if job.state is State.PENDING else "scheduled",
    }


def shaped(job: Submitted) -> dict[str, Any]:
    return scheduled(job) if job.options.delay else queued(job)


@router.get("/state/{state}")
async def jobs_in_state(
    state: Annotated[str, Path(json_schema_extra={"enum": list(STATES)})],
    service: Service,
    start: Annotated[int, Query(ge=0, le=FARTHEST)] = 0,
    end: Annotated[int, Query(ge=0, le=FARTHEST)] = 9,
) -> dict[str, Any]:
    """Those of waiting, active, completed, failed or delayed from `start` to `end`, inclusive. Of more than 2 KiB
    of data the beginning and the size are shown, {raw, bytes}; `GET /jobs/{job_id}` tells all."""
    if state not in STATES:
        wrong = FieldError("state", f"must be one of {', '.join(STATES)}", "enum")
        raise Problem(400, f"state: {wrong.message}", error="Invalid state", errors=[wrong])
    if end - start >= MOST:
        raise from_fields([FieldError("end", f"must be less than {MOST} after start", "range")])
    return {"state": state, "jobs": await publisher_of(service).jobs(state, start, end)}


@router.get("/{job_id}")
@needs(Scope.BOOKINGS_READ)
async def job(job_id: JobId, service: Service, caller: Asking) -> dict[str, Any]:
    """A job before, while and after it runs."""
    record = await service.ledger.get(job_id)
    if caller.tenant and not (record and caller.sees(record.tenant)):
        raise not_found("Job not found")
    leg = record.legs.get(Backend.RQ) if record else None
    shown = await service.publisher.lookup(job_id)
    if record and leg and (shown or not leg.state.terminal):
        return of_ledger(record, leg)
    if shown is None:  # never was, is too old, or asked to be removed when it ended
        raise not_found("Job not found")
    return of_queue(shown)


def of_ledger(record: Record, leg: Leg) -> dict[str, Any]:
    return {
        "jobId": record.id,
        "name": record.type,
        "state": IN_OLD_WORDS[leg.state],
        "progress": leg.progress,
        "data": record.data,
        "returnvalue": leg.result,
        "failedReason": leg.error,
        "attemptsMade": leg.attempts,
        "timestamp": record.created,
    }


def of_queue(shown: dict[str, Any]) -> dict[str, Any]:
    """A job that RQ alone knows: enqueued by somebody else and not taken yet, or refused."""
    return {
        "jobId": shown["jobId"],
        "name": shown["type"],
        "state": OF_RQ.get(shown["status"], shown["status"]),
        "progress": 0,
        "data": shown["data"],
        "returnvalue": None,
        "failedReason": shown["error"],
        "attemptsMade": 0,
        "timestamp": shown["timestamp"],
    }
