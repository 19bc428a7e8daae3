"""Drains a lane with one worker process, and counts what went over the wire for it."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from booking_queue.backends import kafka_topic, redis_stream, rq_queue
from booking_queue.backends.base import Publisher
from booking_queue.domain.job import Backend, NewJob
from booking_queue.ledger.connection import connect
from booking_queue.ledger.ledger import Ledger, LegRef
from booking_queue.ledger.script import Scripts
from booking_queue.settings import Settings
from local.private_suite import PrivateSuite

PAYLOAD = {"userId": "bench", "hotelId": "bench", "checkIn": "2026-05-01", "checkOut": "2026-05-03", "guests": 2}
SEND_AT_ONCE = 500
LOOK_SECONDS = 0.01
PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Drained:
    """`round_trips` are the Redis scripts that one worker called a job, everything counted; `memory` are the bytes of
    Redis that a job took while it waited."""

    backend: Backend
    jobs: int
    slots: int
    jobs_per_second: float
    round_trips: float
    memory: float


def publisher_of(backend: Backend, settings: Settings, scripts: Scripts) -> Publisher:
    match backend:
        case Backend.RQ:
            return rq_queue.RqPublisher(scripts, settings)
        case Backend.STREAMS:
            return redis_stream.StreamPublisher(scripts, settings)
        case Backend.KAFKA:
            return kafka_topic.KafkaPublisher(Ledger(scripts), settings)


def settings_of(suite: PrivateSuite) -> Settings:
    return Settings(
        redis_host="127.0.0.1",
        redis_port=suite.redis.port,
        redis_password=suite.redis.password,
        kafka_broker=suite.kafka.broker,
    )


async def drain(suite: PrivateSuite, backend: Backend, *, jobs: int, slots: int) -> Drained:
    """Sends everything first, then starts the worker: the clock runs from the first finished job to the last."""
    settings = settings_of(suite)
    redis = connect(settings)
    try:
        memory_before = await _memory(redis)
        await send(settings, redis, backend, jobs)
        memory = await _memory(redis) - memory_before
        done_before = await _completed(redis, backend)
        calls_before = await _script_calls(redis)
        worker = suite.start_worker(WORKER_BACKENDS=backend, LOG_LEVEL="WARNING", **{_CONCURRENCY[backend]: str(slots)})
        try:
            seconds = await _watch(redis, backend, done_before, jobs)
        finally:
            suite.stop(worker)
        calls = await _script_calls(redis) - calls_before
        return Drained(backend, jobs, slots, (jobs - 1) / seconds, calls / jobs, memory / jobs)
    finally:
        await redis.aclose()


_CONCURRENCY = {
    Backend.RQ: "CONCURRENCY_RQ",
    Backend.STREAMS: "CONCURRENCY_STREAMS",
    Backend.KAFKA: "CONCURRENCY_KAFKA",
}


async def send(settings: Settings, redis: Redis, backend: Backend, jobs: int) -> None:
    """Accepted and published: they wait for a worker."""
    scripts = Scripts(redis, settings, extra=rq_queue.LUA + "\n" + redis_stream.LUA)
    publisher = publisher_of(backend, settings, scripts)
    await publisher.open()
    ledger = Ledger(scripts)
    try:
        for first in range(0, jobs, SEND_AT_ONCE):
            ids = [str(uuid.uuid4()) for _ in range(min(SEND_AT_ONCE, jobs - first))]
            news = [NewJob(id=job_id, type="noop", data=PAYLOAD, backends=[backend]) for job_id in ids]
            await asyncio.gather(*(ledger.accept(job) for job in news))
            answers = await publisher.publish([LegRef(job_id, 1) for job_id in ids])
            failed = [answer for answer in answers if isinstance(answer, Exception)]
            if failed:
                raise failed[0]
    finally:
        await publisher.close()


async def _completed(redis: Redis, backend: Backend) -> int:
    counters: Any = redis.hget("bq:counters", f"{backend}.completed")
    return int(await counters or 0)


async def _memory(redis: Redis) -> int:
    return int((await redis.info("memory"))["used_memory"])


async def _script_calls(redis: Redis) -> int:
    stats = await redis.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("calls", 0)) + int(stats.get("cmdstat_eval", {}).get("calls", 0))


async def _watch(redis: Redis, backend: Backend, before: int, jobs: int) -> float:
    first: float | None = None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            done = await _completed(redis, backend) - before
            now = time.perf_counter()
            if done and first is None:
                first = now
            if done >= jobs and first is not None:
                return max(now - first, 1e-9)
            await asyncio.sleep(LOOK_SECONDS)
