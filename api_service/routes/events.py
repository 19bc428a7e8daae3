"""Live changes, as server-sent events. `curl -N` can read them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.requests import Request

from api_service.gateway import Gateway, Running
from api_service.routes.bookings import existing
from booking_queue.domain.access import Key, Scope
from booking_queue.web.auth import Asking, needs, still_holds
from booking_queue.web.sse import DOCUMENTED, Event, EventStream

router = APIRouter(tags=["events"])

LastEventId = Annotated[str, Header(max_length=100, description="Go on behind this event.")]


@router.get("/api/bookings/{id}/events", response_class=EventStream, status_code=200, openapi_extra=DOCUMENTED)
@needs(Scope.BOOKINGS_READ)
async def follow_booking(
    id: str, request: Request, gateway: Running, caller: Asking, last_event_id: LastEventId = ""
) -> EventStream:
    """All of the booking's events from its first one on, then live. `event: reset`: some are not kept any more."""
    record = await existing(gateway, id, caller)
    return _stream(request, gateway, caller, gateway.feed.of_job(record.id, last_event_id))


@router.get("/api/events", response_class=EventStream, status_code=200, openapi_extra=DOCUMENTED)
@needs(Scope.BOOKINGS_READ)
async def follow_all(
    request: Request, gateway: Running, caller: Asking, last_event_id: LastEventId = ""
) -> EventStream:
    """Every change of every job from now on, or from `Last-Event-ID` on. `event: reset`: events are missing, so read
    the state again."""
    reset = not await gateway.feed.resumable(last_event_id)
    return _stream(request, gateway, caller, gateway.feed.everything(last_event_id, reset=reset, tenant=caller.tenant))


def _stream(request: Request, gateway: Gateway, caller: Key, source: AsyncIterator[Event]) -> EventStream:
    async def allowed() -> bool:
        return await still_holds(request.scope, caller)

    gateway.places.must_have_one(caller.tenant)
    taken = gateway.places.taken(caller.tenant)
    return EventStream(source, request.app.state.stopping, allowed=allowed, place=taken)
