"""A backend service on the in-memory broker and a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI

from booking_queue.backends.memory import MemoryPublisher
from booking_queue.backends.memory_broker import MemoryBroker
from booking_queue.domain.job import Backend
from booking_queue.ledger.ledger import Claim, Ledger, LegRef
from booking_queue.ledger.script import Scripts
from booking_queue.settings import Settings
from booking_queue.web.backend_service import MISSING, Service, Submitted, batch_answer, create
from booking_queue.web.schemas import Batch, DelayedJob, DirectJob
from booking_queue.web.validation import on_invalid
from tests.services.live_app import Live, live

JOB: dict[str, Any] = {"type": "booking", "data": {"test": True}}

routes = APIRouter()


def shaped(job: Submitted) -> dict[str, Any]:
    return {"jobId": job.job_id, "status": job.status, "receipt": job.receipt, "scheduledFor": job.scheduled_for}


@routes.post("/jobs", status_code=201)
@on_invalid(MISSING)
async def add(body: DirectJob, service: Service) -> dict[str, Any]:
    return shaped(await service.submit(body))


@routes.post("/jobs/delayed", status_code=201)
@on_invalid(MISSING)
async def add_delayed(body: DelayedJob, service: Service) -> dict[str, Any]:
    return shaped(await service.submit(body))


@routes.post("/jobs/batch", status_code=201)
async def add_many(body: Batch, service: Service) -> dict[str, Any]:
    return batch_answer(await service.submit_many(body.items), shaped)


@routes.get("/record/{job_id}")
async def record(job_id: str, service: Service) -> dict[str, Any]:
    found = await service.ledger.get(job_id)
    assert found
    leg = found.legs[Backend.RQ]
    return {"trace": found.trace, "legs": list(found.legs), "state": leg.state, "options": found.options}


@routes.post("/bury/{job_id}")
async def bury(job_id: str, service: Service) -> None:
    claim = await service.ledger.claim(job_id, Backend.RQ, 1, "w1")
    assert isinstance(claim, Claim)
    await service.ledger.bury(claim, "broken")
    await service.publish([LegRef(job_id, 1)])


MakeMemory = Callable[[Scripts, Settings], MemoryPublisher]


def app_of(settings: Settings, broker: MemoryBroker, make: MakeMemory | None = None) -> FastAPI:
    def memory(scripts: Scripts, settings: Settings) -> MemoryPublisher:
        return MemoryPublisher(Ledger(scripts), broker, Backend.RQ)

    return create(
        "queue",
        settings,
        default_port=3001,
        make_publisher=make or memory,
        routers=[routes],
        about={"queue": "booking-queue"},
        batch_paths={"/jobs/batch"},
    )


@asynccontextmanager
async def running(settings: Settings, broker: MemoryBroker | None = None) -> AsyncIterator[Live]:
    async with live(app_of(settings, broker or MemoryBroker())) as service:
        yield service


def broker_size(broker: MemoryBroker) -> int:
    return sum(len(level) for level in broker.levels.values()) + len(broker.due)
