"""The first entries of each backend, asked for when somebody looks; the last answer, with its age, when it is away."""

from __future__ import annotations

import asyncio
from typing import Any

from booking_queue.clock import iso, now_ms
from booking_queue.domain.job import Backend
from monitoring_service.board import Board
from monitoring_service.poller import Source
from monitoring_service.services_health import LIMIT_SECONDS, ServicesHealth
from monitoring_service.sources import (
    KafkaPartition,
    KafkaStats,
    RqJob,
    RqJobs,
    StreamConsumers,
    StreamMessages,
    StreamPending,
    StreamStats,
)
from monitoring_service.view_answers import (
    KafkaAnswer,
    KafkaRows,
    PartitionAnswer,
    RqAnswer,
    RqRow,
    RqRows,
    ServicesAnswer,
    ServicesRows,
    StreamRows,
    StreamsAnswer,
    View,
)
from monitoring_service.workers import ROLL_AND_ANSWERS_SECONDS

FIRST = 10
ENOUGH_SECONDS = 1.0  # an answer this young serves others too


class Views:
    def __init__(self, board: Board, health: ServicesHealth):
        self._board = board
        self._health = health
        settings = board.settings
        self.redis, self.kafka_broker = f"{settings.redis_host}:{settings.redis_port}", settings.kafka_broker
        self.rq: Source[RqRows] = Source("rq jobs", self._rq, every=ENOUGH_SECONDS)
        self.streams: Source[StreamRows] = Source("stream entries", self._streams, every=ENOUGH_SECONDS)
        self.kafka: Source[KafkaRows] = Source("kafka partitions", self._kafka, every=ENOUGH_SECONDS)
        self.services: Source[ServicesRows] = Source(
            "services", self._services, every=ENOUGH_SECONDS, deadline=ROLL_AND_ANSWERS_SECONDS + LIMIT_SECONDS
        )

    async def close(self) -> None:
        await asyncio.gather(*(view.close() for view in (self.rq, self.streams, self.kafka, self.services)))

    async def _services(self) -> ServicesRows:
        await self._board.workers.recent()
        return await self._health.read(self._board.workers.value)

    async def _rq(self) -> RqRows:
        waiting, active, completed, failed, delayed = await asyncio.gather(
            self._rq_state("waiting"),
            self._rq_state("active"),
            self._rq_state("completed"),
            self._rq_state("failed"),
            self._rq_state("delayed"),
        )
        return {"waiting": waiting, "active": active, "completed": completed, "failed": failed, "delayed": delayed}

    async def _rq_state(self, state: str) -> list[RqRow]:
        body = await self._board.clients[Backend.RQ].get(f"/jobs/state/{state}", {"start": 0, "end": FIRST - 1})
        return [_rq_job(state, job) for job in RqJobs.model_validate(body).jobs[:FIRST]]

    async def _streams(self) -> StreamRows:
        client = self._board.clients[Backend.STREAMS]
        said, messages, pending, readers = await asyncio.gather(
            client.get("/stats"),
            client.get("/messages", {"count": FIRST}),
            client.get("/pending", {"count": FIRST}),
            client.get("/consumers"),
        )
        stats, recent = StreamStats.model_validate(said), StreamMessages.model_validate(messages)
        return {
            "stream": stats.stream,
            "group": stats.group,
            "lag": stats.lag,
            "totalMessages": stats.stats.total_messages,
            "consumers": [
                {"name": one.name, "pending": one.pending, "idleMs": one.idle_ms}
                for one in StreamConsumers.model_validate(readers).consumers
            ],
            "recentMessages": recent.messages[:FIRST],
            "pendingMessages": [list(each) for each in StreamPending.model_validate(pending).pending_messages[:FIRST]],
        }

    async def _kafka(self) -> KafkaRows:
        stats = KafkaStats.model_validate(await self._board.clients[Backend.KAFKA].get("/stats"))
        return {
            "topic": stats.topic,
            "group": stats.group,
            "lag": stats.lag,
            "messagesInStore": stats.stats.messages_in_store,
            "dlqPartitions": stats.stats.dlq_partitions,
            "partitions": [_partition(at) for at in stats.offsets],
            "members": stats.members,
        }


def _rq_job(state: str, job: RqJob) -> RqRow:
    row: RqRow = {"id": job.id, "name": job.name, "data": job.data}
    match state:
        case "active":
            row["progress"] = job.progress
        case "completed":
            row["returnvalue"] = job.returnvalue
        case "failed":
            row["failedReason"] = job.failed_reason
        case "delayed":
            due = job.scheduled_for
            row["delay"] = max(0, int(due.timestamp() * 1000) - now_ms()) if due else None
    return row


def _partition(at: KafkaPartition) -> PartitionAnswer:
    return {
        "topic": at.topic,
        "partition": at.partition,
        "beginOffset": at.begin_offset,
        "endOffset": at.end_offset,
        "committed": at.committed,
        "lag": at.lag,
    }


EMPTY_RQ: RqRows = {"waiting": [], "active": [], "completed": [], "failed": [], "delayed": []}
EMPTY_STREAMS: StreamRows = {
    "stream": None,
    "group": None,
    "lag": None,
    "totalMessages": None,
    "consumers": [],
    "recentMessages": [],
    "pendingMessages": [],
}
EMPTY_KAFKA: KafkaRows = {
    "topic": None,
    "group": None,
    "lag": None,
    "messagesInStore": None,
    "dlqPartitions": None,
    "partitions": [],
    "members": [],
}


# These never fail: what the source said last, or nothing, with its staleness.


def _of(source: Source[Any], broker: str) -> View:
    return {"timestamp": iso(now_ms()), "broker": broker, **source.staleness()}


async def rq(views: Views) -> RqAnswer:
    await views.rq.recent()
    return {**(views.rq.value or EMPTY_RQ), **_of(views.rq, views.redis)}


async def streams(views: Views) -> StreamsAnswer:
    await views.streams.recent()
    return {**(views.streams.value or EMPTY_STREAMS), **_of(views.streams, views.redis)}


async def kafka(views: Views) -> KafkaAnswer:
    await views.kafka.recent()
    return {**(views.kafka.value or EMPTY_KAFKA), **_of(views.kafka, views.kafka_broker)}


async def services(views: Views) -> ServicesAnswer:
    await views.services.recent()
    unknown: ServicesRows = {"timestamp": iso(now_ms()), "services": []}
    return {**(views.services.value or unknown), **views.services.staleness()}
