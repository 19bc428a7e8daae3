"""Messages of the Redis Streams lane, its groups and its consumers, in the words that its users know."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from booking_queue.backends.redis_stream import GroupBusy, StreamPublisher
from booking_queue.clock import iso
from booking_queue.domain.access import Scope
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.record import Record
from booking_queue.web.auth import Asking, needs
from booking_queue.web.backend_routes import batch_answer
from booking_queue.web.backend_service import MISSING, Service, Submitted
from booking_queue.web.problems import conflict, not_found
from booking_queue.web.schemas import Batch, DelayedJob, DirectJob
from booking_queue.web.validation import on_invalid

MOST = 1000  # entries a list

MessageId = Annotated[str, Path(max_length=200, description="The message's id, or any stream id that it ever had.")]
GroupName = Annotated[str, Path(max_length=100)]
Count = Annotated[int, Query(ge=1, le=MOST)]

router = APIRouter(tags=["streams"])


class NewGroup(BaseModel):
    """`start`: 0 for everything that is still there, $ for what comes from now on, or a stream id."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"name": "audit", "start": "0"}})
    name: str = Field(min_length=1, max_length=100, pattern=r"^[\w.:-]+$")
    start: str = Field("0", pattern=r"^(\$|\d{1,15}(-\d{1,15})?)$")


def publisher_of(service: Service) -> StreamPublisher:
    return cast(StreamPublisher, service.publisher)


@router.post("/messages", status_code=201)
@needs(Scope.BOOKINGS_WRITE)
@on_invalid(MISSING)
async def add_message(body: DirectJob, service: Service, caller: Asking) -> dict[str, Any]:
    """Puts a message on the stream of its priority."""
    return shaped(await service.submit(body, caller.tenant), publisher_of(service))


@router.post("/messages/delayed", status_code=201)
@needs(Scope.BOOKINGS_WRITE)
@on_invalid("Missing type, data or delay")
async def add_delayed_message(body: DelayedJob, service: Service, caller: Asking) -> dict[str, Any]:
    """A message that is put on its stream after `delay` milliseconds, never before."""
    return shaped(await service.submit(body, caller.tenant), publisher_of(service))


@router.post("/messages/batch", status_code=201)
@needs(Scope.BOOKINGS_WRITE)
async def add_messages(body: Batch, service: Service, caller: Asking) -> dict[str, Any]:
    """Up to 1,000 messages, with an answer each; an item with `delay` is a delayed message."""
    publisher = publisher_of(service)
    return batch_answer(await service.submit_many(body.items, caller.tenant), lambda job: shaped(job, publisher))


def shaped(job: Submitted, publisher: StreamPublisher) -> dict[str, Any]:
    """`streamId` is null while the message is not on its stream yet."""
    receipt = job.receipt or {}
    place = {
        "messageId": job.job_id,
        "streamId": receipt.get("streamId"),
        "stream": receipt.get("stream", publisher.names.stream + job.options.priority.suffix),
    }
    if not job.options.delay:
        return {**place, "status": job.status}
    status = "pending" if job.state is State.PENDING else "scheduled"
    return {**place, "delay": job.options.delay, "scheduledFor": job.scheduled_for, "status": status}


@router.get("/messages")
async def messages(service: Service, count: Count = 10) -> dict[str, Any]:
    """The newest first, over all levels, processed ones too. Of more than 2 KiB of data the beginning and the
    size are shown, {raw, bytes}; `GET /messages/{message_id}` tells all."""
    publisher = publisher_of(service)
    found = await publisher.messages(count)
    return {"stream": publisher.names.stream, "count": len(found), "messages": found}


@router.get("/messages/{message_id}")
@needs(Scope.BOOKINGS_READ)
async def message(message_id: MessageId, service: Service, caller: Asking) -> dict[str, Any]:
    """A message before, while and after it is processed. `streamId` is the place it had last."""
    record = await publisher_of(service).message(message_id)
    if record is None or not caller.sees(record.tenant):
        raise not_found("Message not found")
    return view(record)


def view(record: Record) -> dict[str, Any]:
    leg = record.legs[Backend.STREAMS]
    receipt = leg.receipt or {}
    return {
        "messageId": record.id,
        "streamId": receipt.get("streamId"),
        "stream": receipt.get("stream"),
        "type": record.type,
        "data": record.data,
        "status": leg.state,
        "progress": leg.progress,
        "attempts": leg.attempts,
        "worker": leg.worker or None,
        "enqueuedAt": iso(leg.enqueued),
        "startedAt": iso(leg.started),
        "finishedAt": iso(leg.finished),
        "error": leg.error,
        "result": leg.result,
    }


@router.get("/groups")
async def groups(service: Service) -> dict[str, Any]:
    """Each group sees every entry; the workers' own is among them."""
    return {"groups": await publisher_of(service).groups()}


@router.post("/groups", status_code=201)
async def create_group(body: NewGroup, service: Service) -> dict[str, Any]:
    """On the streams of all levels. Entries are kept until every group has read and acknowledged them."""
    if not await publisher_of(service).create_group(body.name, body.start):
        raise conflict("Group already exists")
    return {"name": body.name, "start": body.start}


@router.delete("/groups/{name}")
async def delete_group(name: GroupName, service: Service) -> dict[str, Any]:
    """Refused while it has pending entries, and for the workers' own."""
    try:
        deleted = await publisher_of(service).delete_group(name)
    except GroupBusy as error:
        raise conflict(str(error)) from None
    if not deleted:
        raise not_found("Group not found")
    return {"name": name, "status": "deleted"}


@router.get("/consumers")
async def consumers(service: Service) -> dict[str, Any]:
    """The workers that read the streams, with what each has in hand."""
    return {"consumers": await publisher_of(service).consumers()}


@router.get("/pending")
async def pending(service: Service, count: Count = 100) -> dict[str, Any]:
    """Delivered and not acknowledged: [stream id, consumer, idle ms, deliveries], most urgent level first."""
    return {"pendingMessages": await publisher_of(service).pending(count)}
