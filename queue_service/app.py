"""The RQ service."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from booking_queue.backends import rq_queue
from booking_queue.domain.job import Priority
from booking_queue.ledger.connection import refuse_cluster
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from booking_queue.settings_read import read
from booking_queue.web import backend_service, server
from queue_service import routes

PORT = 3001


def record(metrics: Metrics, stats: dict[str, Any]) -> None:
    for level, counts in stats["levels"].items():
        queue = stats["queue"] + Priority.parse(level).suffix
        for status in rq_queue.STATES:
            metrics.rq_jobs.labels(queue, status).set(counts[status])
    metrics.rq_workers.set(stats["workers"])


def build(settings: Settings) -> FastAPI:
    return backend_service.create(
        "queue",
        settings,
        default_port=PORT,
        make_publisher=rq_queue.RqPublisher,
        lua=rq_queue.LUA,
        routers=[routes.router],
        about={"queue": f"{settings.name_prefix}{rq_queue.QUEUE}"},
        record=record,
        batch_paths={"/jobs/batch"},
    )


if __name__ == "__main__":
    settings = read(Settings)
    server.serve(build(settings), settings, before=refuse_cluster)
