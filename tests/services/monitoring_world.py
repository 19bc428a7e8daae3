"""The monitoring service on a real socket, with a real Redis, and services and workers that say what a test wants."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI
from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import Response

from booking_queue.clock import now_ms
from booking_queue.ledger.connection import connect
from booking_queue.settings import Settings
from booking_queue.web.service import create_app
from monitoring_service.app import build
from tests.services.live_app import Live, live

EVERY = 0.1
ALL = ("rq", "redisStreams", "kafka", "workers", "ledger")

RQ_STATS: dict[str, Any] = {
    "queue": "booking-queue",
    "stats": {"waiting": 1, "active": 2, "completed": 3, "failed": 4, "delayed": 5, "total": 15},
    "backlog": 8,
    "outbox": 0,
    "oldestAgeSeconds": 1.5,
    "levels": {"normal": {"waiting": 1, "active": 2, "completed": 3, "failed": 4, "delayed": 5}},
    "workers": 0,
}
STREAM_STATS: dict[str, Any] = {
    "stream": "booking-stream",
    "group": "booking-workers",
    "stats": {"totalMessages": 7, "pendingMessages": 2, "dlqMessages": 1},
    "backlog": 4,
    "outbox": 0,
    "lag": 2,
    "alarms": {"pendingEntriesDeleted": 0},
    "levels": {"high": {"stream": "booking-stream-high", "totalMessages": 7, "pendingMessages": 2, "lag": 2}},
}
KAFKA_STATS: dict[str, Any] = {
    "topic": "booking-events",
    "group": "booking-workers",
    "stats": {"partitions": 3, "dlqPartitions": 1, "messagesInStore": 20},
    "backlog": 6,
    "outbox": 0,
    "lag": 6,
    "offsets": [
        {"topic": "booking-events", "partition": 0, "beginOffset": 0, "endOffset": 20, "committed": 14, "lag": 6}
    ],
    "members": [],
}


@dataclass
class Fake:
    """A service: what each path answers (a dict as JSON, a string as HTML, a number as a status), after how long."""

    answers: dict[str, Any] = field(default_factory=dict)
    delay: float = 0
    asked: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)

    def app(self, settings: Settings) -> FastAPI:
        routes = APIRouter()

        @routes.get("/{path:path}")
        async def anything(path: str, request: Request) -> Response:
            self.asked.append(f"/{path}")
            self.keys.append(request.headers.get("x-api-key"))
            await asyncio.sleep(self.delay)
            answer = self.answers.get(f"/{path}", 404)
            if isinstance(answer, int):
                return Response(status_code=answer)
            if isinstance(answer, str):
                return Response(answer, media_type="text/html")
            return Response(orjson.dumps(answer), media_type="application/json")

        app = create_app("fake", settings, default_port=0)
        app.router.routes.insert(0, routes.routes[0])  # before /health
        return app


def healthy(name: str, **more: Any) -> dict[str, Any]:
    return {"/health": {"status": "ok", "service": name}, **more}


@dataclass
class World:
    settings: Settings
    redis: Redis
    stack: AsyncExitStack
    queue: Fake = field(default_factory=lambda: Fake(healthy("queue") | {"/stats": RQ_STATS}))
    stream: Fake = field(default_factory=lambda: Fake(healthy("stream") | {"/stats": STREAM_STATS}))
    kafka: Fake = field(default_factory=lambda: Fake(healthy("kafka-service") | {"/stats": KAFKA_STATS}))
    api: Fake = field(default_factory=lambda: Fake(healthy("api")))
    providers: Fake = field(default_factory=lambda: Fake(healthy("providers")))
    frontend: Fake = field(default_factory=lambda: Fake({"/": "<html></html>"}))
    monitoring: Live = field(init=False)

    async def start(self, **instead: str) -> None:
        """`instead`: URLs of services that are not fakes."""
        urls = {
            "queue_service_url": self.queue,
            "stream_service_url": self.stream,
            "kafka_service_url": self.kafka,
            "api_url": self.api,
            "providers_url": self.providers,
            "frontend_url": self.frontend,
        }
        update = {name: instead.get(name) or (await self.run(fake)).url for name, fake in urls.items()}
        self.settings = self.settings.model_copy(update=update)
        self.monitoring = await self.stack.enter_async_context(live(build(self.settings, every=EVERY)))

    async def run(self, fake: Fake) -> Live:
        return await self.stack.enter_async_context(live(fake.app(Settings())))

    async def get(self, path: str) -> Any:
        answer = await self.monitoring.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def until(self, path: str, seen: Callable[[Any], Any], seconds: float = 15) -> Any:
        """Asks until the answer shows it."""
        async with asyncio.timeout(seconds):
            while not seen(body := await self.get(path)):
                await asyncio.sleep(EVERY / 2)
        return body

    async def told(self) -> dict[str, str]:
        """What Prometheus is told, by name; of several with labels, the last."""
        text = (await self.monitoring.http.get("/metrics")).text
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        return {re.split(r"[ {]", line)[0]: line.rsplit(" ", 1)[1] for line in lines}

    async def worker(self, name: str, **stats: Any) -> Fake:
        """A worker with a heartbeat that answers /stats."""
        said = worker_stats(name) | stats
        fake = Fake(healthy("worker") | {"/stats": said})
        await self.beat(name, (await self.run(fake)).url)
        return fake

    async def beat(self, name: str, address: str, **told: Any) -> None:
        prefix = self.settings.key_prefix
        entry = {"id": name, "host": "h", "pid": 1, "address": address, "startedAt": "2026-01-01T00:00:00Z"} | told
        await self.redis.set(f"{prefix}:worker:{name}", orjson.dumps(entry))
        await self.redis.zadd(f"{prefix}:workers", {name: now_ms()})

    async def leave(self, backend: str, jobs: int, later: int = 0) -> None:
        """So many legs without an outcome, and as many before their time as `later` says."""
        hour = 3_600_000
        due = {f"due{n}": now_ms() - hour for n in range(jobs)} | {f"later{n}": now_ms() + hour for n in range(later)}
        await self.redis.zadd(f"{self.settings.key_prefix}:open:{backend}", due)

    async def count(self, **counts: int) -> None:
        """Sets counters of the ledger: rq_completed=5."""
        named = {name.replace("_", ".", 1): value for name, value in counts.items()}
        for name, value in named.items():
            await self.redis.hset(f"{self.settings.key_prefix}:counters", name, str(value))


def worker_stats(name: str, completed: int = 4) -> dict[str, Any]:
    buckets = {"buckets": [0.1, 1.0, None], "counts": [0, completed, completed], "sum": completed / 2}
    return {
        "workerId": name,
        "startedAt": "2026-01-01T00:00:00Z",
        "running": {"rq": 3, "redisStreams": 0, "kafka": 0},
        "capacity": {"rq": 4, "redisStreams": 4, "kafka": 4},
        "processed": {"rq": completed},
        "failed": {"rq": 1},
        "sla": {"booking": {"inTime": completed - 1, "total": completed}},
        "histograms": {"wait": {"rq": buckets}, "run": {"rq": buckets}},
        "memoryBytes": 50_000_000,
        "cpuPercent": 12.5,
    }


@asynccontextmanager
async def world_of(settings: Settings) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        redis = connect(settings)
        stack.push_async_callback(redis.aclose)
        yield World(settings, redis, stack)


def fresh(*names: str) -> Callable[[Any], bool]:
    """Whether these sources answer, by a dashboard."""
    return lambda body: not any(body["staleness"][name]["stale"] for name in names)


def watched(*names: str) -> Callable[[Any], bool]:
    """Whether these answer and two looks at the ledger's counters were noted: what rises now is seen to rise."""
    return lambda body: fresh(*names)(body) and body["rates"]["rq"]["completedPerSecond"] is not None
