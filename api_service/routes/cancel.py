"""Cancelling bookings."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from api_service import views
from api_service.answers import Cancelling
from api_service.gateway import Running
from api_service.listing import canonical
from api_service.routes.bookings import NOT_FOUND, existing
from booking_queue.domain.access import Scope
from booking_queue.web.auth import Asking, needs
from booking_queue.web.problems import conflict, not_found
from booking_queue.web.replies import JsonResponse

router = APIRouter(prefix="/api/bookings", tags=["bookings"])


@router.delete("/{id}", status_code=202, response_model=Cancelling)
@needs(Scope.BOOKINGS_WRITE)
async def cancel_booking(id: str, gateway: Running, caller: Asking) -> Response:
    """From now on nobody works at it. It is `cancelled` once whatever was charged is given back, which goes on until
    it has succeeded; a confirmed booking's rooms are free again. Asking again before that is harmless; of what is over
    it is refused."""
    booking_id = canonical(id)
    if booking_id is None:
        raise not_found(NOT_FOUND)
    await existing(gateway, booking_id, caller)
    answer = await gateway.cancellations.ask(booking_id)
    if answer.outcome == "unknown":
        raise not_found(NOT_FOUND)
    if answer.outcome == "over":
        raise conflict(f"The booking is {answer.state}: there is nothing to cancel", code="not_cancellable")
    gateway.compensate.set()
    await gateway.inbox.forget(booking_id, answer.scheduled)
    told: Cancelling = {"bookingId": booking_id, "state": "cancelling", "links": views.links(booking_id)}
    return JsonResponse(told, 202, {"Location": f"/api/bookings/{booking_id}"})
