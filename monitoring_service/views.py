"""The first entries of each backend, asked for when somebody looks; the last answer, with its age, when it is away."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import Redis

from booking_queue.clock import iso, now_ms
from booking_queue.domain.job import Backend
from booking_queue.ledger.ledger import Ledger
from booking_queue.ledger.script import Scripts
from monitoring_service.board import Board
from monitoring_service.poller import Source
from monitoring_service.services_health import ServicesHealth
from monitoring_service.sources import KafkaStats, RqJob, RqJobs, StreamMessages, StreamPending, StreamStats

FIRST = 10
ENOUGH_SECONDS = 1.0  # an answer this young serves others too
STATES = ("waiting", "active", "completed", "failed", "delayed")

Json = dict[str, Any]


class Views:
    def __init__(self, board: Board, health: ServicesHealth, redis: Redis):
        self._board = board
        self._health = health
        self._ledger = Ledger(Scripts(redis, board.settings))
        self.rq: Source[Json] = Source("rq jobs", self._rq, every=ENOUGH_SECONDS)
        self.streams: Source[Json] = Source("stream entries", self._streams, every=ENOUGH_SECONDS)
        self.kafka: Source[Json] = Source("kafka partitions", self._kafka, every=ENOUGH_SECONDS)
        self.services: Source[Json] = Source("services", self._services, every=ENOUGH_SECONDS, deadline=4.0)

    async def close(self) -> None:
        await asyncio.gather(*(view.close() for view in (self.rq, self.streams, self.kafka, self.services)))

    async def _services(self) -> Json:
        await self._board.workers.recent()
        return await self._health.read(self._board.workers.value)

    async def _rq(self) -> Json:
        found = await asyncio.gather(*(self._rq_state(state) for state in STATES))
        return dict(zip(STATES, found, strict=True))

    async def _rq_state(self, state: str) -> list[Json]:
        body = await self._board.clients[Backend.RQ].get(f"/jobs/state/{state}", {"start": 0, "end": FIRST - 1})
        return await asyncio.gather(*(self._rq_job(state, job) for job in RqJobs.model_validate(body).jobs[:FIRST]))

    async def _rq_job(self, state: str, job: RqJob) -> Json:
        more = job.model_extra or {}
        row: Json = {"id": job.id, "name": job.name, "data": job.data}
        if state == "active":
            return row | {"progress": job.progress}
        wanted = {"completed": "returnvalue", "failed": "failedReason", "delayed": "delay"}.get(state)
        if wanted is None:
            return row
        return row | {wanted: more[wanted] if wanted in more else await self._from_ledger(job.id, wanted)}

    async def _from_ledger(self, job_id: str, wanted: str) -> Any:
        record = await self._ledger.get(job_id)
        leg = record.legs.get(Backend.RQ) if record else None
        if leg is None:
            return None
        delay = max(0, leg.due - now_ms())
        return {"returnvalue": leg.result, "failedReason": leg.error, "delay": delay}[wanted]

    async def _streams(self) -> Json:
        client = self._board.clients[Backend.STREAMS]
        said, messages, pending = await asyncio.gather(
            client.get("/stats"), client.get("/messages", {"count": FIRST}), client.get("/pending", {"count": FIRST})
        )
        stats, recent = StreamStats.model_validate(said), StreamMessages.model_validate(messages)
        return {
            "stream": stats.stream,
            "totalMessages": stats.stats.total_messages,
            "recentMessages": recent.messages[:FIRST],
            "pendingMessages": StreamPending.model_validate(pending).pending_messages[:FIRST],
        }

    async def _kafka(self) -> Json:
        stats = KafkaStats.model_validate(await self._board.clients[Backend.KAFKA].get("/stats"))
        return {
            "topic": stats.topic,
            "group": stats.group,
            "lag": stats.lag,
            "messagesInStore": stats.stats.messages_in_store,
            "dlqPartitions": stats.stats.dlq_partitions,
            "partitions": [at.model_dump(mode="json", by_alias=True) for at in stats.offsets],
            "members": stats.members,
        }


EMPTY_RQ: Json = {state: [] for state in STATES}
EMPTY_STREAMS: Json = {"stream": None, "totalMessages": None, "recentMessages": [], "pendingMessages": []}
EMPTY_KAFKA: Json = {
    "topic": None,
    "group": None,
    "lag": None,
    "messagesInStore": None,
    "dlqPartitions": None,
    "partitions": [],
    "members": [],
}


async def shown(source: Source[Json], empty: Json) -> Json:
    """Never fails: what the source said last, or nothing, with its staleness."""
    await source.recent()
    return {"timestamp": iso(now_ms()), **(source.value or empty), **source.staleness()}
