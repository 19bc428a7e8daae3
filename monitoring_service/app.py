"""Wires the monitoring service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request

from booking_queue.ledger.connection import check, connect, refuse_cluster
from booking_queue.ledger.keys import Keys
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from booking_queue.settings_read import read
from booking_queue.web.health import ALARMS
from booking_queue.web.server import serve
from booking_queue.web.service import create_app
from monitoring_service import routes
from monitoring_service.alarms import alarms
from monitoring_service.board import EVERY_SECONDS, Board
from monitoring_service.prometheus import Gauges, Sums
from monitoring_service.services_health import ServicesHealth
from monitoring_service.views import Views

DEFAULT_PORT = 3004


def build(settings: Settings, every: float = EVERY_SECONDS) -> FastAPI:
    metrics = Metrics()
    gauges = Gauges(metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        redis = connect(settings)
        board, health = Board(settings, redis, metrics, every), ServicesHealth(settings)
        views, sums = Views(board, health), Sums(board)
        metrics.registry.register(sums)
        board.start()
        try:
            yield {"board": board, "views": views, "redis": redis, "keys": Keys(redis, settings)}
        finally:
            metrics.registry.unregister(sums)
            await views.close()
            await board.close()
            health.close()
            await redis.aclose()

    async def redis_check(request: Request) -> Mapping[str, Any] | None:
        await check(request.state.redis)
        return {ALARMS: ["ledger_emptied"]} if routes.board_of(request).epoch.alarmed else None

    async def scrape(request: Request) -> None:
        board = routes.board_of(request)
        gauges.update(board, alarms(board))

    return create_app(
        "monitoring",
        settings,
        default_port=DEFAULT_PORT,
        lifespan=lifespan,
        routers=[routes.router],
        checks={"redis": redis_check},
        metrics=metrics,
        scrape=scrape,
    )


def main() -> None:
    settings = read(Settings)
    serve(build(settings), settings, before=refuse_cluster)


if __name__ == "__main__":
    main()
