"""Pages of bookings: newest first, at the same cost however many there are."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from booking_queue.domain.job import Backend, State
from booking_queue.ledger.index import Index, Place, name_for
from booking_queue.ledger.record import BookingState, Record

LOOKED_AT = 1000  # records that one page may look at for those that match
CHUNK = 100

STATES = tuple(dict.fromkeys([*BookingState, *State]))


def canonical(text: str) -> str | None:
    """The id as it is stored, None of what is none."""
    try:
        known = str(UUID(text))
    except ValueError:
        return None
    return known if known == text.lower() else None


def lists_of(user_id: str, hotel_id: str, tenant: str) -> tuple[str, ...]:
    """Those that a booking is to be found in."""
    names = ("bookings", f"user:{user_id}", f"hotel:{hotel_id}")
    return (*names, *(name_for(tenant, name) for name in names)) if tenant else names


@dataclass(frozen=True, slots=True)
class Filter:
    """`state` of the booking, or of a leg of it; of `backend`'s leg, where one is named."""

    state: str | None = None
    backend: Backend | None = None

    def __bool__(self) -> bool:
        return bool(self.state or self.backend)

    def __call__(self, record: Record) -> bool:
        if self.backend and self.backend not in record.legs:
            return False
        legs = [record.legs[self.backend]] if self.backend else record.legs.values()
        return self.state is None or self.state in (record.booking_state, *(leg.state for leg in legs))


async def page(
    index: Index, names: Sequence[str], after: Place | None, limit: int, wanted: Filter
) -> tuple[list[Record], Place | None]:
    """Up to `limit` records, and where to go on; None at the end. A filtered page may be short, or even empty,
    before the end: it stops at LOOKED_AT records."""
    found: list[Record] = []
    size = CHUNK if wanted else limit + 1
    for _ in range(0, LOOKED_AT, size):
        places = await index.page(names, after, size)
        for number, (place, record) in enumerate(zip(places, await index.records(places), strict=True), start=1):
            after = place
            if record and wanted(record):
                found.append(record)
            if len(found) == limit:
                return found, after if number < len(places) or len(places) == size else None
        if len(places) < size:
            return found, None
    return found, after


def cursor_of(place: Place) -> str:
    return base64.urlsafe_b64encode(f"{place.accepted}.{place.job_id}".encode()).decode().rstrip("=")


def place_of(cursor: str) -> Place:
    """Raises ValueError of what is no cursor of ours."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise ValueError("is not a cursor of this list") from None
    accepted, _, job_id = text.partition(".")
    if not (accepted.isascii() and accepted.isdigit() and len(accepted) <= 15 and job_id):
        raise ValueError("is not a cursor of this list")
    return Place(int(accepted), job_id)
