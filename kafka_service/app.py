"""The Kafka service."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request

from booking_queue.backends.kafka_topic import KafkaPublisher
from booking_queue.ledger.connection import refuse_cluster
from booking_queue.ledger.ledger import Ledger
from booking_queue.ledger.script import Scripts
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from booking_queue.settings_read import read
from booking_queue.web import backend_service, server
from kafka_service import replay_routes, routes

PORT = 3003


def make_publisher(scripts: Scripts, settings: Settings) -> KafkaPublisher:
    return KafkaPublisher(Ledger(scripts), settings)


async def broker_answers(request: Request) -> None:
    await routes.publisher_of(backend_service.of(request)).check()


def record(metrics: Metrics, stats: dict[str, Any]) -> None:
    for at in stats["offsets"]:
        metrics.kafka_lag.labels(stats["group"], at["topic"], str(at["partition"])).set(at["lag"])


def build(settings: Settings) -> FastAPI:
    return backend_service.create(
        "kafka-service",
        settings,
        default_port=PORT,
        make_publisher=make_publisher,
        routers=[routes.router, replay_routes.router],
        about={"topic": f"{settings.name_prefix}booking-events"},
        broker_check=broker_answers,
        record=record,
        batch_paths={"/messages/batch"},
    )


if __name__ == "__main__":
    settings = read(Settings)
    server.serve(build(settings), settings, before=refuse_cluster)
