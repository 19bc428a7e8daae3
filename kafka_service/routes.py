"""Messages of the Kafka lane, its topics and groups, in the words that its users know."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from booking_queue.backends.kafka_topic import KafkaPublisher
from booking_queue.domain.access import Scope
from booking_queue.domain.job import Backend, Options, State
from booking_queue.ledger.record import Leg, Record
from booking_queue.web.auth import Asking, needs
from booking_queue.web.backend_routes import batch_answer
from booking_queue.web.backend_service import MISSING, Service, Submitted
from booking_queue.web.problems import FieldError, Problem, not_found
from booking_queue.web.schemas import Batch, DelayedJob, DirectJob
from booking_queue.web.validation import on_invalid

MOST_PARTITIONS = 1000

MessageId = Annotated[str, Path(max_length=200)]
Topic = Annotated[str, Path(max_length=249)]

router = APIRouter(tags=["kafka"])


class Grow(BaseModel):
    """How many partitions the topic is to have: more than now. Messages of one key then go to another partition."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"count": 6}})
    count: int = Field(ge=1, le=MOST_PARTITIONS, strict=True)


def publisher_of(service: Service) -> KafkaPublisher:
    return cast(KafkaPublisher, service.publisher)


@router.post("/messages", status_code=201)
@needs(Scope.BOOKINGS_WRITE)
@on_invalid(MISSING)
async def add_message(body: DirectJob, service: Service, caller: Asking) -> dict[str, Any]:
    """Puts a message on the topic of its priority; `status` is pending while Kafka is away: it is sent afterwards."""
    return queued(await service.submit(body, caller.tenant), publisher_of(service))


@router.post("/messages/delayed", status_code=201)
@needs(Scope.BOOKINGS_WRITE)
@on_invalid("Missing type, data or delay")
async def add_delayed_message(body: DelayedJob, service: Service, caller: Asking) -> dict[str, Any]:
    """A message that is put on its topic after `delay` milliseconds, never before: until then the outbox keeps it."""
    return scheduled(await service.submit(body, caller.tenant), publisher_of(service))


@router.post("/messages/batch", status_code=201)
@needs(Scope.BOOKINGS_WRITE)
async def add_messages(body: Batch, service: Service, caller: Asking) -> dict[str, Any]:
    """Up to 1,000 messages, with an answer each; an item with `delay` is a delayed message."""
    publisher = publisher_of(service)
    return batch_answer(
        await service.submit_many(body.items, caller.tenant),
        lambda job: (scheduled if job.options.delay else queued)(job, publisher),
    )


def queued(job: Submitted, publisher: KafkaPublisher) -> dict[str, Any]:
    return {"messageId": job.job_id, **place(job.receipt, publisher.topic_of(job.options)), "status": job.status}


def scheduled(job: Submitted, publisher: KafkaPublisher) -> dict[str, Any]:
    return {
        "messageId": job.job_id,
        "topic": publisher.topic_of(job.options),
        "delay": job.options.delay,
        "scheduledFor": job.scheduled_for,
        "status": "pending" if job.state is State.PENDING else "scheduled",
    }


def place(receipt: dict[str, Any] | None, topic: str) -> dict[str, Any]:
    """Null where it has no place yet."""
    known = receipt or {}
    return {"topic": known.get("topic", topic)} | {
        name: known.get(name) for name in ("partition", "offset", "timestamp")
    }


@router.get("/messages/{message_id}")
@needs(Scope.BOOKINGS_READ)
async def message(message_id: MessageId, service: Service, caller: Asking) -> dict[str, Any]:
    """Where the message is, and what became of it. `readable`: whether Kafka still keeps it (null: cannot tell)."""
    publisher = publisher_of(service)
    record = await publisher.message(message_id)
    if record is None or not caller.sees(record.tenant):
        raise not_found("Message not found")
    leg = record.legs[Backend.KAFKA]
    topic = publisher.topic_of(Options.of(record.options))
    return view(record, leg, topic, await publisher.readable(leg.receipt))


def view(record: Record, leg: Leg, topic: str, readable: bool | None) -> dict[str, Any]:
    return {
        "messageId": record.id,
        **place(leg.receipt, topic),
        "readable": readable,
        "status": leg.state,
        "type": record.type,
        "data": record.data,
        "progress": leg.progress,
        "attempts": leg.attempts,
        "error": leg.error,
        "result": leg.result,
    }


@router.get("/topics")
async def topics(service: Service) -> dict[str, Any]:
    """The topics of this suite, by kind: level, retry or dead."""
    return {"topics": await publisher_of(service).topics()}


@router.get("/topics/{topic}/partitions")
async def partitions(topic: Topic, service: Service) -> dict[str, Any]:
    """Each partition's offsets, and how far the workers' group is behind."""
    found = await publisher_of(service).partitions(topic)
    if found is None:
        raise not_found("Topic not found")
    return {"topic": topic, "count": len(found), "partitions": found}


@router.post("/topics/{topic}/partitions")
async def add_partitions(topic: Topic, body: Grow, service: Service) -> dict[str, Any]:
    """Gives the topic more partitions. There is no way back."""
    try:
        count = await publisher_of(service).add_partitions(topic, body.count)
    except ValueError as error:
        wrong = FieldError("count", str(error), "range")
        raise Problem(400, f"count: {error}", error="Partitions can only grow", errors=[wrong]) from None
    if count is None:
        raise not_found("Topic not found")
    return {"topic": topic, "count": count}


@router.get("/groups")
async def groups(service: Service) -> dict[str, Any]:
    """The consumer groups that read these topics, with their members and what each has."""
    return {"groups": await publisher_of(service).groups()}
