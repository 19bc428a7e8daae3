"""The Redis Streams service."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from booking_queue.backends.redis_stream import LUA, Names, StreamPublisher
from booking_queue.ledger.connection import refuse_cluster
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from booking_queue.settings_read import read
from booking_queue.web import backend_service, server
from stream_service import routes

PORT = 3002


def record(metrics: Metrics, stats: dict[str, Any]) -> None:
    for level in stats["levels"].values():
        place = (level["stream"], stats["group"])
        metrics.stream_length.labels(level["stream"]).set(level["totalMessages"])
        metrics.stream_lag.labels(*place).set(level["lag"])
        metrics.stream_pending.labels(*place).set(level["pendingMessages"])
    for alarm, count in stats["alarms"].items():
        metrics.stream_alarms.labels(alarm).set(count)


def build(settings: Settings) -> FastAPI:
    return backend_service.create(
        "stream",
        settings,
        default_port=PORT,
        make_publisher=StreamPublisher,
        lua=LUA,
        routers=[routes.router],
        about={"stream": Names(settings).stream},
        record=record,
        batch_paths={"/messages/batch"},
    )


if __name__ == "__main__":
    settings = read(Settings)
    server.serve(build(settings), settings, before=refuse_cluster)
