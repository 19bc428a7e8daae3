"""The booking and its five steps, in order."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

MAX_NIGHTS = 365


@dataclass(frozen=True)
class Step:
    """`seconds`: simulated duration at SIMULATED_TIME_SCALE=1; `progress`: percent once it is done."""

    name: str
    seconds: float
    progress: int


STEPS = (
    Step("validate", 2, 10),
    Step("payment", 3, 30),
    Step("document", 5, 50),
    Step("mail", 1, 80),
    Step("inventory", 1, 90),
)
STEP_NAMES = tuple(step.name for step in STEPS)

RoomType = Literal["standard", "deluxe", "suite", "presidential"]
NIGHTLY_RATE = {"standard": 9_000, "deluxe": 15_000, "suite": 32_000, "presidential": 120_000}  # minor units
CURRENCY = "EUR"

Id = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


def _iso_day(value: object) -> object:
    """Not the numbers and times that pydantic takes for dates too."""
    if isinstance(value, date) or (isinstance(value, str) and len(value) == 10 and value[4] == "-"):
        return value
    raise ValueError("must be a date like 2026-01-31")


Day = Annotated[date, BeforeValidator(_iso_day)]


class Simulate(BaseModel):
    """Faults a learner asks for: the first `times` attempts fail (or crash the worker) at the step `failAt`;
    `slowMs` makes that step (or, without one, every step) that much slower. Until the job is redriven."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)
    fail_at: Literal["validate", "payment", "document", "mail", "inventory"] | None = None
    times: int = Field(1, ge=1, le=10, strict=True)
    slow_ms: int = Field(0, ge=0, le=60_000, strict=True)
    crash: StrictBool = False


class Booking(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)
    user_id: Id
    hotel_id: Id
    check_in: Day
    check_out: Day
    guests: int = Field(1, ge=1, le=10, strict=True)
    room_type: RoomType = "standard"
    simulate: Simulate | None = None

    @model_validator(mode="after")
    def _stay(self) -> Self:
        if self.check_out <= self.check_in:
            raise ValueError("checkOut must be after checkIn")
        if self.nights > MAX_NIGHTS:
            raise ValueError(f"checkOut must be at most {MAX_NIGHTS} nights after checkIn")
        return self

    @property
    def nights(self) -> int:
        return (self.check_out - self.check_in).days

    @property
    def price(self) -> int:
        """Minor units of CURRENCY."""
        return NIGHTLY_RATE[self.room_type] * self.nights

    def payload(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def confirmation_number(booking_id: str) -> str:
    """Unique as the id is: 80 of its random bits, in base 32. The same at every repetition, so no one stores it."""
    try:
        bits = UUID(booking_id).bytes[6:]
    except ValueError:  # an id that somebody gave it on RQ, or that stands for a place in a log
        bits = hashlib.sha256(booking_id.encode()).digest()[:10]
    return "CONF-" + base64.b32encode(bits).decode()


def effect_key(booking_id: str, step: str, round_: int = 1) -> str:
    """What a provider dedupes by. A redriven booking that was refunded is a new round, so that the provider's void of
    the last one stays true."""
    return f"{booking_id}:{step}" + (f":{round_}" if round_ > 1 else "")


def booking_of(key: str) -> str:
    """The booking whose effect it is."""
    return re.sub(r":[a-z]+(:[0-9]+)?$", "", key)
