"""Reading a part of the log again."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from booking_queue.backends.kafka.replay import ReplayBusy, Span
from booking_queue.web.backend_service import Service
from booking_queue.web.problems import FieldError, Problem, conflict, not_found
from kafka_service.routes import publisher_of


def _offset_or_time(value: object) -> object:
    """Here alone, so that a wrong one is one error, of the field and not of each kind that it is not."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    if isinstance(value, str):
        with suppress(ValueError):
            when = datetime.fromisoformat(value)
            if when.tzinfo and "T" in value and _number(when) >= 0:
                return when
    raise ValueError("must be an offset, or a time from 1970 on with its zone like 2026-01-31T08:00:00Z")


def _number(where: int | datetime) -> int:
    """Of a time, ms since 1970: Kafka knows none before."""
    return where if isinstance(where, int) else int(where.timestamp() * 1000)


Where = Annotated[int | AwareDatetime, BeforeValidator(_offset_or_time)]

router = APIRouter(tags=["kafka"])


class ReplayIn(BaseModel):
    """From an offset or a time up to, and without, another of the same kind; by default to the end as it is now.
    `report` compares what it reads with the ledger; `missing` also runs what never had an outcome."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"from": "2026-01-31T08:00:00Z", "mode": "report"}}
    )
    start: Where = Field(alias="from")
    stop: Where | None = Field(None, alias="to")
    mode: Literal["report", "missing"] = "report"
    topic: str | None = Field(None, max_length=249, description="One of a level; by default the plain one.")
    partition: int | None = Field(None, ge=0, le=1_000_000, strict=True)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.stop is not None and isinstance(self.start, int) != isinstance(self.stop, int):
            raise ValueError("to must be of the same kind as from: both offsets, or both times")
        if self.stop is not None and _number(self.stop) <= _number(self.start):
            raise ValueError("to must be after from")
        return self

    def span(self, topic: str) -> Span:
        by_time = not isinstance(self.start, int)
        stop = None if self.stop is None else _number(self.stop)
        return Span(topic, self.partition, _number(self.start), stop, by_time, self.mode == "missing")


def _wrong(field: str, why: str, code: str) -> Problem:
    return Problem(400, f"{field}: {why}", errors=[FieldError(field, why, code)])


@router.post("/replay", status_code=202)
async def start_replay(body: ReplayIn, service: Service) -> dict[str, Any]:
    """Begins to read; `GET /replay/{replayId}` tells how far it is. The workers' offsets stay as they are."""
    publisher = publisher_of(service)
    levels = list(publisher.topic_names.levels.values())
    topic = body.topic or publisher.topic_names.main
    if topic not in levels:
        raise _wrong("topic", f"must be one of {', '.join(levels)}", "invalid")
    if body.partition is not None and body.partition >= (count := await publisher.partition_count(topic)):
        raise _wrong("partition", f"must be less than {count}, the partitions of {topic}", "range")
    try:
        return await publisher.replayer.start(body.span(topic))
    except ReplayBusy as busy:
        raise conflict(f"The replay {busy} is under way: one at a time") from None


@router.get("/replay/{replay_id}")
async def get_replay(replay_id: Annotated[str, Path(max_length=64)], service: Service) -> dict[str, Any]:
    """What it has read, run and skipped; `found` counts what was read by what the ledger says of it."""
    found = await publisher_of(service).replayer.find(replay_id)
    if found is None:
        raise not_found("Replay not found")
    return found
