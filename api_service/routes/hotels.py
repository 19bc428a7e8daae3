"""Rooms of a hotel. All tenants book the same ones."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from api_service.gateway import Gateway, Running
from api_service.schemas import NewTotal, nights
from booking_queue.domain.access import Scope
from booking_queue.domain.booking import Day, RoomType
from booking_queue.ledger.effects import Stay
from booking_queue.web.auth import needs
from booking_queue.web.problems import FieldError, conflict
from booking_queue.web.replies import JsonResponse
from booking_queue.web.validation import from_fields

router = APIRouter(prefix="/api/hotels", tags=["hotels"])

ONE_DAY = timedelta(days=1)
HotelId = Annotated[str, Path(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


@router.get("/{id}/inventory")
@needs(Scope.BOOKINGS_READ)
async def get_inventory(
    id: HotelId,
    gateway: Running,
    check_in: Annotated[Day, Query(alias="checkIn", description="First night.")],
    check_out: Annotated[Day | None, Query(alias="checkOut", description="Day after the last night.")] = None,
    room_type: Annotated[RoomType, Query(alias="roomType")] = "standard",
) -> Response:
    """Rooms of one type, night by night: in all, taken (held or sold), sold, free."""
    one_night = min(check_in, date.max - ONE_DAY) + ONE_DAY
    stay = _stay(gateway, id, room_type, check_in, check_out or one_night)
    return await _inventory(gateway, stay)


@router.put("/{id}/inventory")
async def set_inventory(id: HotelId, body: NewTotal, gateway: Running) -> Response:
    """Sets how many rooms there are in each of these nights. 409 where more are taken: then nothing is changed."""
    stay = _stay(gateway, id, body.room_type, body.check_in, body.check_out)
    if overfull := await gateway.rooms.set_total(stay, body.total):
        raise conflict(f"{overfull.taken} rooms are taken in the night of {overfull.date}")
    return await _inventory(gateway, stay)


async def _inventory(gateway: Gateway, stay: Stay) -> Response:
    found = [
        {"date": n.date, "total": n.total, "taken": n.taken, "sold": n.sold, "free": max(0, n.total - n.taken)}
        for n in await gateway.rooms.get(stay)
    ]
    return JsonResponse({"hotelId": stay.hotel_id, "roomType": stay.room_type, "nights": found})


def _stay(gateway: Gateway, hotel_id: str, room_type: str, check_in: date, check_out: date) -> Stay:
    try:
        count = nights(check_in, check_out)
    except ValueError as error:
        raise from_fields([FieldError("checkOut", str(error), "value_error")]) from None
    dates = [(check_in + n * ONE_DAY).isoformat() for n in range(count)]
    return Stay(hotel_id, room_type, dates, gateway.settings.inventory_default_rooms)
