"""Wires a backend service: queue_, stream_ and kafka_service differ in what they give to `create`.

Their routes take the running service as a parameter (`service: Service`), validate a direct post by
`DirectJob`, `DelayedJob` or `Batch` (schemas.py) and shape what comes back into their own answers:

    @router.post("/jobs", status_code=201)
    @needs(Scope.BOOKINGS_WRITE)
    @on_invalid(MISSING)
    async def add(body: DirectJob, service: Service, caller: Asking) -> dict[str, Any]:
        job = await service.submit(body, caller.tenant)
        return {"jobId": job.job_id, "name": job.type, "data": job.data, "status": job.status}
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from redis.exceptions import RedisError
from starlette.requests import Request

from booking_queue import logs
from booking_queue.backends.base import Publisher
from booking_queue.domain.errors import BackendUnavailable, LedgerUnavailable
from booking_queue.ledger.connection import check, connect
from booking_queue.ledger.keys import Keys
from booking_queue.ledger.script import Scripts
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from booking_queue.tasks import end
from booking_queue.web.backend_routes import Service, batch_answer, of, router
from booking_queue.web.direct import BackendService, Refusal, Submitted
from booking_queue.web.health import ALARMS, Probe
from booking_queue.web.service import Lifespan, create_app

__all__ = ["MISSING", "BackendService", "Refusal", "Service", "Submitted", "batch_answer", "create", "of"]

MISSING = "Missing type or data"  # what the older services said
OPEN_SECONDS = 5.0  # a broker that takes longer is waited for behind a service that runs
CONNECTIONS = 16

MakePublisher = Callable[[Scripts, Settings], Publisher]
Record = Callable[[Metrics, dict[str, Any]], None]

log = logs.get("backend_service")


def create(  # noqa: PLR0913 - all but two by name
    name: str,
    settings: Settings,
    *,
    default_port: int,
    make_publisher: MakePublisher,
    lua: str = "",
    routers: Sequence[APIRouter] = (),
    about: Mapping[str, Any] | None = None,
    broker_check: Probe | None = None,
    record: Record | None = None,
    batch_paths: Collection[str] = (),
) -> FastAPI:
    """`lua`: the operations of a backend that lives in Redis; `about`: members of /health;
    `broker_check`: where the broker is not the ledger's Redis; `record`: sets this broker's gauges from /stats;
    `batch_paths`: those that take 1 MiB."""
    metrics = Metrics()

    async def redis_check(request: Request) -> Mapping[str, Any] | None:
        service = of(request)
        await check(service.redis)
        await service.epoch.look()
        return {ALARMS: service.alarms()} if service.alarms() else None

    async def scrape(request: Request) -> None:
        try:
            await _record(of(request), record)
        except (LedgerUnavailable, BackendUnavailable, RedisError, OSError) as error:
            log.warning("stats_unavailable", why=str(error))

    return create_app(
        name,
        settings,
        default_port=default_port,
        lifespan=_lifespan(settings, make_publisher, lua, metrics),
        routers=[router, *routers],
        about=about,
        checks={"redis": redis_check, "broker": broker_check or redis_check},
        metrics=metrics,
        scrape=scrape,
        batch_paths={"/publish", *batch_paths},
    )


def _lifespan(settings: Settings, make_publisher: MakePublisher, lua: str, metrics: Metrics) -> Lifespan:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        redis = connect(settings, connections=CONNECTIONS)
        scripts = Scripts(redis, settings, extra=lua)
        publisher = make_publisher(scripts, settings)
        opening = asyncio.create_task(publisher.open())
        try:
            await asyncio.wait({opening}, timeout=OPEN_SECONDS)
            if opening.done():
                opening.result()
            yield {
                "service": BackendService(publisher, scripts, settings, metrics),
                "keys": Keys(redis, settings),
            }
        finally:
            await end(opening)
            await publisher.close()
            await redis.aclose()

    return lifespan


async def _record(service: BackendService, record: Record | None) -> None:
    stats, metrics = await service.stats(), service.metrics
    metrics.outbox_oldest_age.labels(service.backend).set(stats["outboxOldestAgeSeconds"])
    metrics.queue_oldest_age.labels(service.backend).set(stats["oldestAgeSeconds"])
    for reason, writes in stats["ledger"]["writesRefused"].items():
        metrics.writes_refused.labels(reason).set(writes)
    if record is not None:
        record(metrics, stats)
