"""What is posted to a backend service directly is new work too: a nearly full ledger takes none of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

import kafka_service.app
import queue_service.app
import stream_service.app
from booking_queue.ledger.connection import connect
from booking_queue.settings import Settings
from tests.services.live_app import Live, live

JOB: dict[str, Any] = {"type": "noop", "data": {}}
SERVICES = [
    pytest.param(queue_service.app.build, "/jobs", id="rq"),
    pytest.param(stream_service.app.build, "/messages", id="redisStreams"),
    pytest.param(kafka_service.app.build, "/messages", id="kafka"),
]


@pytest.fixture
async def redis(redis_settings: Settings) -> AsyncIterator[Redis]:
    client = connect(redis_settings)
    before = (await client.config_get("maxmemory"))["maxmemory"] or 0
    yield client
    await client.config_set("maxmemory", before)
    await client.aclose()


async def answered(service: Live, path: str, body: dict[str, Any], status: int) -> httpx.Response:
    async with asyncio.timeout(20):
        while (answer := await service.http.post(path, json=body)).status_code != status:
            await asyncio.sleep(0.1)
    return answer


@pytest.mark.parametrize(("build", "path"), SERVICES)
async def test_a_nearly_full_ledger_takes_no_direct_posts(
    redis: Redis, redis_settings: Settings, build: Callable[[Settings], FastAPI], path: str
) -> None:
    async with live(build(redis_settings)) as service:
        await answered(service, path, JOB, 201)
        used = (await redis.info("memory"))["used_memory"]
        await redis.config_set("maxmemory", int(used * 1.12))
        for kind, body in (("", JOB), ("/delayed", JOB | {"delay": 1000}), ("/batch", {"items": [JOB]})):
            refused = await answered(service, path + kind, body, 503)
            assert "nearly full" in refused.json()["detail"]
            assert "retry-after" in refused.headers
        await redis.config_set("maxmemory", 0)
        await answered(service, path, JOB, 201)
