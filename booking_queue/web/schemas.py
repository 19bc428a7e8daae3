"""What the three backend services take and give."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from booking_queue.domain.job import Options, State
from booking_queue.handlers import registry
from booking_queue.web.validation import code_of, required_of

MAX_BATCH = 1000
MAX_DELAY_MS = 31_536_000_000  # a year


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


def _registered(name: str) -> str:
    known = registry()
    if name not in known:
        raise ValueError(f"{name!r} is not a job type; known are {', '.join(sorted(known))}")
    return name


def _name_them(schema: dict[str, Any]) -> None:
    schema["enum"] = sorted(registry())


JobType = Annotated[
    str,
    StringConstraints(min_length=1, max_length=50),
    AfterValidator(_registered),
    Field(json_schema_extra=_name_them),
]


class DirectJob(_Model):
    """A job posted straight to one backend. The handler validates `data`, so here it may be any object."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "booking",
                "data": {"userId": "u1", "hotelId": "h1", "checkIn": "2026-06-01", "checkOut": "2026-06-03"},
            }
        }
    )
    type: JobType
    data: dict[str, Any]
    options: Options = Options()

    def run_options(self) -> Options:
        return self.options


class DelayedJob(DirectJob):
    """`delay`: milliseconds until it may start."""

    delay: int = Field(ge=0, le=MAX_DELAY_MS, strict=True)

    def run_options(self) -> Options:
        return self.options.model_copy(update={"delay": self.delay})


class BatchItem(DirectJob):
    """Either form of a direct post."""

    delay: int | None = Field(None, ge=0, le=MAX_DELAY_MS, strict=True)

    def run_options(self) -> Options:
        return self.options if self.delay is None else self.options.model_copy(update={"delay": self.delay})


class Batch(_Model):
    """Up to 1,000 items of at most 64 KiB. Each is validated by itself: a bad one stops no other."""

    items: list[Any] = Field(min_length=1, max_length=MAX_BATCH, description="Items as of a single post.")


class LegIn(_Model):
    id: str = Field(min_length=1, max_length=200)
    generation: int = Field(ge=1, strict=True)


class PublishIn(_Model):
    legs: list[LegIn] = Field(max_length=MAX_BATCH)


class LegOut(_Model):
    """`state` pending: it did not reach the broker yet and stays with us. `waits`: for its turn among those of its
    ordering key, or for its time where the broker cannot delay; that says nothing about the broker."""

    id: str
    state: State
    receipt: dict[str, Any] | None
    waits: bool


class PublishOut(_Model):
    legs: list[LegOut]


class DeadLetters(_Model):
    dead_letters: list[dict[str, Any]]


def fields_of(error: ValidationError, model: type[BaseModel]) -> list[dict[str, str]]:
    """A problem document's `errors` of a model that was validated by hand."""
    required = required_of(model)
    named = [
        (".".join(map(str, raw["loc"])) or "item", raw)
        for raw in error.errors(include_url=False, include_context=False)
    ]
    return [
        {"field": name, "message": raw["msg"].removeprefix("Value error, "), "code": code_of(raw, name, required)}
        for name, raw in named
    ]
