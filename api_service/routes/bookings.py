"""Looking at bookings."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AfterValidator, Field, StringConstraints
from starlette.responses import Response

from api_service import listing, views
from api_service.answers import BookingAnswer, BookingPage, BookingStatus
from api_service.gateway import Gateway, Running
from booking_queue.domain.access import Key, Scope
from booking_queue.domain.booking import confirmation_number
from booking_queue.domain.job import Backend
from booking_queue.ledger.index import name_for
from booking_queue.ledger.record import BookingState, Record
from booking_queue.web.auth import Asking, needs
from booking_queue.web.problems import not_found
from booking_queue.web.replies import JsonResponse

router = APIRouter(prefix="/api/bookings", tags=["bookings"])

NOT_FOUND = "Booking not found"
_UNCONFIRMED = (BookingState.REJECTED, BookingState.FAILED, BookingState.CANCELLING, BookingState.CANCELLED)


def _known_state(name: str) -> str:
    if name not in listing.STATES:
        raise ValueError(f"must be one of {', '.join(listing.STATES)}")
    return name


def _known_cursor(cursor: str) -> str:
    listing.place_of(cursor)
    return cursor


StateName = Annotated[str, AfterValidator(_known_state), Field(json_schema_extra={"enum": list(listing.STATES)})]
Cursor = Annotated[str, StringConstraints(max_length=300), AfterValidator(_known_cursor)]


@router.get("", response_model=BookingPage)
@needs(Scope.BOOKINGS_READ)
async def list_bookings(  # noqa: PLR0913, PLR0917 - a query each
    gateway: Running,
    caller: Asking,
    cursor: Annotated[Cursor | None, Query(description="`nextCursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    state: Annotated[StateName | None, Query(description="A booking's state, or one of a leg's.")] = None,
    backend: Annotated[Backend | None, Query(description="Only bookings sent there.")] = None,
    q: Annotated[str, Query(max_length=100, description="An id, a user, or a hotel.")] = "",
) -> Response:
    """Newest first. A page that is filtered may be short before the end is reached: go on until `nextCursor` is
    null."""
    wanted = listing.Filter(state, backend)
    if booking_id := listing.canonical(q):
        record = await _booking(gateway, booking_id, caller)
        return _page([record] if record and wanted(record) else [], None)
    names = [f"user:{q}", f"hotel:{q}"] if q else ["bookings"]
    names = [name_for(caller.tenant, name) for name in names]
    place = listing.place_of(cursor) if cursor else None
    records, after = await listing.page(gateway.index, names, place, limit, wanted)
    return _page(records, listing.cursor_of(after) if after else None)


def _page(records: list[Record], next_cursor: str | None) -> Response:
    found: BookingPage = {"items": [views.booking(record) for record in records], "nextCursor": next_cursor}
    return JsonResponse(found)


@router.get("/{id}", response_model=BookingAnswer)
@needs(Scope.BOOKINGS_READ)
async def get_booking(id: str, gateway: Running, caller: Asking) -> Response:
    """The booking, and how far each backend is with it."""
    return JsonResponse(views.booking(await existing(gateway, id, caller)))


@router.get("/{id}/status", response_model=BookingStatus)
@needs(Scope.BOOKINGS_READ)
async def get_booking_status(id: str, gateway: Running, caller: Asking) -> Response:
    """How far each backend is, and which of them did which step."""
    return JsonResponse(views.status(await existing(gateway, id, caller)))


@router.get(
    "/{id}/confirmation.pdf",
    response_class=Response,
    responses={200: {"description": "The confirmation", "content": {"application/pdf": {}}}},
)
@needs(Scope.BOOKINGS_READ)
async def get_confirmation(id: str, gateway: Running, caller: Asking) -> Response:
    """The PDF that the workflow made."""
    record = await existing(gateway, id, caller)
    if record.booking_state in _UNCONFIRMED:
        raise not_found(f"The booking is {record.booking_state}: it has no confirmation")
    document = record.effects.get("document")
    path = document.result.get("path") if document and isinstance(document.result, dict) else None
    content = await asyncio.to_thread(_content, gateway.settings.documents_dir, path) if path else None
    if content is None:
        raise not_found("The confirmation is not made yet")
    name = f"{confirmation_number(record.id)}.pdf"
    return Response(
        content, media_type="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'}
    )


def _content(directory: Path, stored: str) -> bytes | None:
    path = (directory / stored).resolve()
    if not path.is_relative_to(directory.resolve()):
        return None
    try:
        return path.read_bytes()
    except OSError:
        return None


async def existing(gateway: Gateway, booking_id: str, caller: Key) -> Record:
    """Raises 404, of what is no id and of what is another tenant's too."""
    known = listing.canonical(booking_id)
    record = await _booking(gateway, known, caller) if known else None
    if record is None:
        raise not_found(NOT_FOUND)
    return record


async def _booking(gateway: Gateway, booking_id: str, caller: Key) -> Record | None:
    record = await gateway.ledger.get(booking_id)
    return record if record and record.kind == "booking" and caller.sees(record.tenant) else None
