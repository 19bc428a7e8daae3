"""A job and its legs: one leg a backend. The names here are the names in JSON, in labels and in Redis."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from booking_queue.domain.retry import Backoff


class Backend(StrEnum):
    RQ = "rq"
    STREAMS = "redisStreams"
    KAFKA = "kafka"


class Priority(IntEnum):
    """Levels, most urgent first; NORMAL is the plain queue, stream and topic."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3

    @property
    def suffix(self) -> str:
        return "" if self is Priority.NORMAL else f"-{self.name.lower()}"

    @classmethod
    def parse(cls, value: object) -> Priority:
        """A level by its name, or by the 5/10/15/20 (low to critical) that the older systems used."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str) and value.upper() in cls.__members__:
            return cls[value.upper()]
        by_number = {5: cls.LOW, 10: cls.NORMAL, 15: cls.HIGH, 20: cls.CRITICAL}
        if isinstance(value, int) and not isinstance(value, bool) and value in by_number:
            return by_number[value]
        raise ValueError("must be low, normal, high or critical (or 5, 10, 15, 20)")


_LEVELS = {"enum": ["low", "normal", "high", "critical", 5, 10, 15, 20]}
Level = Annotated[
    Priority,
    BeforeValidator(Priority.parse),
    PlainSerializer(lambda level: level.name.lower()),
    WithJsonSchema(_LEVELS),
    Field(json_schema_extra={"default": "normal"}),
]


class State(StrEnum):
    PENDING = "pending"
    QUEUED = "queued"
    DELAYED = "delayed"
    ACTIVE = "active"
    RETRYING = "retrying"
    COMPLETED = "completed"
    DEAD = "dead"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({State.COMPLETED, State.DEAD, State.CANCELLED})


class Keep(BaseModel):
    """removeOnComplete / removeOnFail: how long (seconds) or how many finished jobs stay visible."""

    model_config = ConfigDict(extra="forbid")
    age: int | None = Field(None, ge=0, le=31_536_000, strict=True)
    count: int | None = Field(None, ge=0, le=1_000_000, strict=True)


Key = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class RateLimit(BaseModel):
    """At most `max` jobs of this key start in any `durationMs`, over all workers and backends. Those with another
    `durationMs` are counted apart."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)
    key: Key
    max: int = Field(ge=1, le=10_000, strict=True)
    duration_ms: int = Field(ge=1, le=86_400_000, strict=True)


class Options(BaseModel):
    """How a job is run. Durations in milliseconds. Jobs of one `orderingKey` run one at a time on a backend, in the
    order in which they were accepted."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)
    attempts: int = Field(3, ge=1, le=5, strict=True)
    backoff: Backoff | None = None
    priority: Level = Priority.NORMAL
    delay: int = Field(0, ge=0, le=31_536_000_000, strict=True)
    timeout: int | None = Field(None, ge=100, le=3_600_000, strict=True)
    remove_on_complete: StrictBool | Keep = False
    remove_on_fail: StrictBool | Keep = False
    ordering_key: Key | None = None
    rate_limit: RateLimit | None = None

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Options:
        return cls.model_validate(stored)


class NewJob(BaseModel):
    """A job as it is accepted: what the ledger's record is made of."""

    id: str
    type: str
    data: dict[str, Any]
    options: Options = Options()
    backends: list[Backend]
    trace: str = ""
    tenant: str = ""
