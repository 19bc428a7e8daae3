"""What the gateway takes."""

from __future__ import annotations

import math
from datetime import date
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    field_validator,
)
from pydantic.alias_generators import to_camel

from booking_queue.domain.booking import MAX_NIGHTS, Booking, Day, RoomType
from booking_queue.domain.job import Backend, Key, Level, Options, Priority

MAX_DELAY_SECONDS = 31_536_000  # a year
MAX_ROOMS = 1_000_000
MAX_BATCH = 1000


def _a_number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number of seconds")
    return value


def _each_once(backends: list[Backend]) -> list[Backend]:
    if len(set(backends)) < len(backends):
        raise ValueError("names a backend twice")
    return backends


Seconds = Annotated[float, BeforeValidator(_a_number), Field(ge=0, le=MAX_DELAY_SECONDS, allow_inf_nan=False)]
Backends = Annotated[list[Backend], Field(min_length=1), AfterValidator(_each_once)]

_EXAMPLE: dict[str, JsonValue] = {"userId": "u1", "hotelId": "h1", "checkIn": "2026-06-01", "checkOut": "2026-06-03"}


class NewBooking(Booking):
    """A booking, and how it is to be run: by default on all three backends, at once."""

    model_config = ConfigDict(json_schema_extra={"example": {**_EXAMPLE, "guests": 2, "roomType": "deluxe"}})
    backends: Backends = Field(default_factory=lambda: list(Backend))
    priority: Level = Priority.NORMAL
    delay_seconds: Seconds = 0
    ordering_key: Key | None = Field(None, description="Jobs of one key run one at a time, in order, on each backend.")

    def payload(self) -> dict[str, Any]:
        """The booking alone."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=_HOW)

    @property
    def options(self) -> Options:
        """Milliseconds are rounded up: never early."""
        if self.priority is Priority.NORMAL and not self.delay_seconds and not self.ordering_key:
            return _PLAIN
        delay = math.ceil(self.delay_seconds * 1000)
        return Options.model_construct(priority=self.priority, delay=delay, ordering_key=self.ordering_key)


_HOW = {"backends", "priority", "delay_seconds", "ordering_key"}
_PLAIN = Options()


class DelayedBooking(NewBooking):
    """A booking that is run `delaySeconds` from now: by default on RQ."""

    model_config = ConfigDict(json_schema_extra={"example": {**_EXAMPLE, "delaySeconds": 30}})
    backends: Backends = Field(default_factory=lambda: [Backend.RQ])
    delay_seconds: Seconds = 10


class BookingBatch(BaseModel):
    """Each item is validated by itself, and may be as large as a booking that is sent alone."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"bookings": [_EXAMPLE]}})
    bookings: list[Any] = Field(
        min_length=1, max_length=MAX_BATCH, description="Bookings, as each would be sent alone."
    )


def nights(check_in: date, check_out: date) -> int:
    """Raises ValueError."""
    count = (check_out - check_in).days
    if not 0 < count <= MAX_NIGHTS:
        raise ValueError(f"must be 1 to {MAX_NIGHTS} days after checkIn")
    return count


class NewTotal(BaseModel):
    """How many rooms of a type a hotel has in the nights from `checkIn` to the one before `checkOut`."""

    model_config = ConfigDict(
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        json_schema_extra={
            "example": {"roomType": "suite", "checkIn": "2026-06-01", "checkOut": "2026-06-08", "total": 12}
        },
    )
    room_type: RoomType = "standard"
    check_in: Day
    check_out: Day
    total: Annotated[int, Field(ge=0, le=MAX_ROOMS, strict=True)]

    @field_validator("check_out")
    @classmethod
    def _after(cls, check_out: date, others: ValidationInfo) -> date:
        if "check_in" in others.data:
            nights(others.data["check_in"], check_out)
        return check_out
