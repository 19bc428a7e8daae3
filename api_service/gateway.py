"""What the gateway is made of. Wired in app.py, used by the routes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from api_service.dead_letters import Inbox
from api_service.fanout import Fanout
from api_service.feed import Feed
from api_service.places import Places
from booking_queue.ledger.cancel import Cancellations
from booking_queue.ledger.idempotency import Idempotency
from booking_queue.ledger.index import Index
from booking_queue.ledger.keys import Keys
from booking_queue.ledger.ledger import Ledger
from booking_queue.ledger.limits import Limits
from booking_queue.ledger.pressure import Pressure
from booking_queue.ledger.rooms import Rooms
from booking_queue.settings import Settings


@dataclass(frozen=True)
class Gateway:
    settings: Settings
    ledger: Ledger
    index: Index
    rooms: Rooms
    feed: Feed
    places: Places
    fanout: Fanout
    pressure: Pressure
    idempotency: Idempotency
    cancellations: Cancellations
    limits: Limits
    keys: Keys
    inbox: Inbox
    compensate: asyncio.Event  # there is something to give back


def of(request: Request) -> Gateway:
    gateway: Gateway = request.state.gateway
    return gateway


Running = Annotated[Gateway, Depends(of)]
