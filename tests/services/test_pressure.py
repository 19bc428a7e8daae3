"""What is posted to a backend service directly is new work too, and so is what is redriven: a nearly full ledger takes
none of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

import kafka_service.app
import queue_service.app
import stream_service.app
from booking_queue.coalesce import Coalescer
from booking_queue.domain.job import Backend
from booking_queue.ledger import script
from booking_queue.ledger.connection import connect
from booking_queue.settings import Settings
from tests.services.api_world import world
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
    ballast = f"{redis_settings.key_prefix}:ballast"  # or a connection more would make what is nearly full quite so
    await client.setrange(ballast, 20_000_000, "x")  # sent as a whole it would fill a buffer too, for a while
    yield client
    await client.config_set("maxmemory", before)
    await client.delete(ballast)
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
        await answered(service, "/dead-letters/nobody/redrive", {}, 503)
        await redis.config_set("maxmemory", 0)
        await answered(service, path, JOB, 201)


async def test_a_nearly_full_ledger_lets_no_dead_letter_run_again(redis: Redis, redis_settings: Settings) -> None:
    async with world(redis_settings) as shop:
        job = await shop.book(backends=["rq"])
        assert await shop.ledger.bury(await shop.claim(job), "no")
        await redis.config_set("maxmemory", int((await redis.info("memory"))["used_memory"] * 1.12))
        letters = "/api/dead-letters"
        await answered(shop.gateway, f"{letters}/rq/nobody/redrive", {}, 503)
        for path, body in ((f"/rq/{job}/redrive", {}), ("/redrive", {"items": [{"backend": "rq", "id": job}]})):
            refused = await shop.http.post(letters + path, json=body)
            assert refused.status_code == 503 and "nearly full" in refused.json()["detail"]
            assert "retry-after" in refused.headers
        assert await shop.states(job) == {Backend.RQ: "dead"}
        await redis.config_set("maxmemory", 0)
        await answered(shop.gateway, f"{letters}/rq/{job}/redrive", {}, 202)


async def test_where_too_many_calls_wait_for_redis_one_more_is_refused_for_that(
    redis_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "Coalescer", partial(Coalescer, max_waiting=0))
    async with live(queue_service.app.build(redis_settings)) as service:
        for path, body in (("/jobs", JOB), ("/jobs/batch", {"items": [JOB, JOB]})):
            refused = await service.http.post(path, json=body)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert refused.json()["detail"].endswith("try again later"), "nothing was sent, and Redis may answer"
