"""New bookings."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from api_service import views
from api_service.gateway import Gateway, of
from api_service.link import Sent
from api_service.schemas import DelayedBooking, NewBooking
from booking_queue import trace
from booking_queue.clock import iso, now_ms
from booking_queue.domain.job import Backend, NewJob
from booking_queue.web.problems import unavailable
from booking_queue.web.replies import JsonResponse


async def create_booking(body: NewBooking, request: Request) -> Response:
    """Accepts a booking and sends it to its backends. `pending`: that backend could not be reached; the booking is
    safe and gets there by itself."""
    booking_id, sent = await _accept(body, of(request))
    answer = {"bookingId": booking_id, "queues": views.queues(booking_id, sent), "links": views.links(booking_id)}
    return _accepted(booking_id, answer)


async def create_delayed_booking(body: DelayedBooking, request: Request) -> Response:
    """Accepts a booking that is run `delaySeconds` from now, never earlier."""
    before = now_ms()
    booking_id, sent = await _accept(body, of(request))
    answer: dict[str, Any] = {
        "bookingId": booking_id,
        "delaySeconds": views.whole(body.delay_seconds),
        "scheduledFor": iso(before + body.options.delay),
        "jobId": booking_id,
        "queues": views.queues(booking_id, sent),
        "message": f"Booking will be processed in {views.whole(body.delay_seconds)} seconds",
        "links": views.links(booking_id),
    }
    return _accepted(booking_id, answer)


async def _accept(body: NewBooking, gateway: Gateway) -> tuple[str, dict[Backend, Sent]]:
    if gateway.pressure.full:
        raise unavailable("The ledger is nearly full: new work is refused until some of it is done")
    job = NewJob.model_construct(
        id=str(uuid4()),
        type="booking",
        data=body.payload(),
        options=body.options,
        backends=body.backends,
        trace=trace.current.get(),
    )
    indices = ("bookings", f"user:{body.user_id}", f"hotel:{body.hotel_id}")
    return job.id, await gateway.fanout.submit(job, indices)


def _accepted(booking_id: str, answer: dict[str, Any]) -> Response:
    return JsonResponse(answer, 202, {"Location": f"/api/bookings/{booking_id}"})
