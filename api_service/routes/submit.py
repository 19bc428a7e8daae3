"""New bookings."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api_service import batch, views
from api_service.answers import AcceptedBooking, BatchAnswer, DelayedAnswer
from api_service.gateway import Gateway, Running, of
from api_service.idempotency import once
from api_service.link import Sent
from api_service.listing import lists_of
from api_service.schemas import BookingBatch, DelayedBooking, NewBooking
from booking_queue import trace
from booking_queue.clock import iso
from booking_queue.domain.access import Scope
from booking_queue.domain.job import Backend, NewJob
from booking_queue.web.auth import Asking, caller_of, needs
from booking_queue.web.replies import JsonResponse

router = APIRouter(tags=["bookings"])


@needs(Scope.BOOKINGS_WRITE)
async def create_booking(body: NewBooking, request: Request) -> Response:
    """Accepts a booking and sends it to its backends. `pending`: that backend could not be reached, or another booking
    of its `orderingKey` goes first; it is safe and gets there by itself. With an `Idempotency-Key` it may be sent
    again: there will be one booking."""

    caller = await caller_of(request)

    async def make(new_id: Callable[[int], str]) -> Response:
        booking_id = new_id(0)
        _, sent = await _accept(body, booking_id, of(request), caller.tenant)
        answer: AcceptedBooking = {
            "bookingId": booking_id,
            "queues": views.queues(booking_id, sent),
            "links": views.links(booking_id),
        }
        return _accepted(booking_id, answer)

    return await once(request, of(request), caller.tenant, _fresh_id, make)


@needs(Scope.BOOKINGS_WRITE)
async def create_delayed_booking(body: DelayedBooking, request: Request) -> Response:
    """Accepts a booking that is run `delaySeconds` from now, never earlier."""

    caller = await caller_of(request)

    async def make(new_id: Callable[[int], str]) -> Response:
        booking_id = new_id(0)
        accepted, sent = await _accept(body, booking_id, of(request), caller.tenant)
        answer: DelayedAnswer = {
            "bookingId": booking_id,
            "delaySeconds": views.whole(body.delay_seconds),
            "scheduledFor": iso(accepted + body.options.delay),
            "jobId": booking_id,
            "queues": views.queues(booking_id, sent),
            "message": f"Booking will be processed in {views.whole(body.delay_seconds)} seconds",
            "links": views.links(booking_id),
        }
        return _accepted(booking_id, answer)

    return await once(request, of(request), caller.tenant, _fresh_id, make)


@router.post("/api/bookings/batch", status_code=202, response_model=BatchAnswer)
@needs(Scope.BOOKINGS_WRITE)
async def create_bookings(body: BookingBatch, gateway: Running, request: Request, caller: Asking) -> Response:
    """Up to 1,000 bookings at once; one answer per item. A bad one stops no other. With `Retry-After` some were refused
    for now: sent again with the same `Idempotency-Key` it takes those, and makes nothing twice."""
    simulation = gateway.settings.simulation == "on"

    async def make(new_id: Callable[[int], str]) -> Response:
        await gateway.pressure.must_have_room()
        read = [batch.read(item, simulation=simulation, tenant=caller.tenant) for item in body.bookings]
        items = [
            item if isinstance(item, batch.Refused) else _job(item, new_id(number), caller.tenant)
            for number, item in enumerate(read)
        ]
        return await batch.submit(gateway.fanout, items)

    return await once(request, gateway, caller.tenant, _fresh_id, make)


def _fresh_id(_: int) -> str:
    return str(uuid4())


async def _accept(body: NewBooking, booking_id: str, gateway: Gateway, tenant: str) -> tuple[int, dict[Backend, Sent]]:
    await gateway.pressure.must_have_room()
    return await gateway.fanout.submit(*_job(body, booking_id, tenant))


def _job(body: NewBooking, booking_id: str, tenant: str) -> tuple[NewJob, tuple[str, ...]]:
    """And the lists it is to be found in."""
    job = NewJob.model_construct(
        id=booking_id,
        type="booking",
        data=body.payload(),
        options=body.options,
        backends=body.backends,
        trace=trace.current.get(),
        tenant=tenant,
    )
    return job, lists_of(body.user_id, body.hotel_id, tenant)


def _accepted(booking_id: str, answer: AcceptedBooking) -> Response:
    return JsonResponse(answer, 202, {"Location": f"/api/bookings/{booking_id}"})
