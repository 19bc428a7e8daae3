"""What travels, as its bytes: how a message of ours stands in each broker, to be changed by a test and put there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from booking_queue.domain.job import Priority
from tests.contract.lanes import Lane

Message = dict[str, Any]
Fields = dict[str, bytes]

PERFORM = "worker_service.rq_job.perform"


def message_of(job: str, data: dict[str, Any]) -> Message:
    """As our publishers write it. `function` is RQ's, `v` is of those that know versions."""
    return {
        "v": 1,
        "id": job,
        "function": PERFORM,
        "type": "noop",
        "data": data,
        "generation": 1,
        "attempt": 1,
        "notBefore": 0,
        "trace": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }


class Wire:
    def __init__(self, lane: Lane, producer: AIOKafkaProducer | None):
        self._lane = lane
        self._producer = producer
        self._names = lane.settings.name_prefix

    def fields(self, message: Message) -> Fields:
        """What is not in the message is not in its fields."""
        match self._lane.kind:
            case "rq":
                return _of_rq(message)
            case "redisStreams":
                names = {"id": "messageId", "trace": "traceparent"}
                return {names.get(name, name): _text(value) for name, value in message.items() if name != "function"}
            case _:
                return {"value": orjson.dumps({name: value for name, value in message.items() if name != "function"})}

    async def put(self, job: str, fields: Fields) -> None:
        """`job`: what RQ calls it by; the others read that from the message."""
        redis: Any = self._lane.redis
        match self._lane.kind:
            case "memory":
                self._lane.broker.put(fields["value"], Priority.NORMAL)
            case "rq":
                queue = f"{self._names}booking-queue"
                await redis.hset(f"rq:job:{job}", mapping={**fields, "origin": queue, "status": "queued"})
                await redis.rpush(f"rq:queue:{queue}", job)
            case "redisStreams":
                await redis.xadd(f"{self._names}booking-stream", fields)
            case _:
                assert self._producer
                await self._producer.send_and_wait(f"{self._names}booking-events", fields["value"], key=job.encode())


def _of_rq(message: Message) -> Fields:
    args = [message[name] for name in ("type", "data") if name in message]
    names = {"generation": "generation", "trace": "traceparent"}
    meta = {known: message[name] for name, known in names.items() if name in message}
    call: list[Any] = [message.get("function"), None, args, {}]
    return {"data": orjson.dumps(call), "meta": orjson.dumps(meta)}


def _text(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else orjson.dumps(value)


@asynccontextmanager
async def wire_of(lane: Lane) -> AsyncIterator[Wire]:
    producer = AIOKafkaProducer(bootstrap_servers=lane.settings.kafka_broker) if lane.kind == "kafka" else None
    if producer:
        await producer.start()
    try:
        yield Wire(lane, producer)
    finally:
        if producer:
            await producer.stop()
