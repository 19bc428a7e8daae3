"""Wires a worker: three consumers in one event loop, and a small HTTP side for its health and numbers."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import uvloop
from fastapi import FastAPI
from redis.asyncio import Redis
from redis.exceptions import RedisError

from booking_queue import logs
from booking_queue.backends import kafka_topic, redis_stream, rq_queue
from booking_queue.backends.base import Consumer
from booking_queue.backends.slots import Slots
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.domain.job import Backend
from booking_queue.effects.documents import Documents
from booking_queue.ledger.connection import ClusterRefused, check, connect
from booking_queue.ledger.keys import Keys
from booking_queue.ledger.ledger import Ledger
from booking_queue.ledger.limits import Limits
from booking_queue.ledger.script import Scripts
from booking_queue.settings import Settings
from booking_queue.settings_read import read
from booking_queue.web import auth, server
from booking_queue.web.service import create_app
from worker_service import janitor, pauses, stats
from worker_service.attempt import Tools, tools_of
from worker_service.heartbeat import Heartbeat, NameTaken, Presence
from worker_service.processor import Processor
from worker_service.standstill import Standstill
from worker_service.supervisor import Supervisor
from worker_service.suspects import Suspects

WAIT_FOR_REDIS_SECONDS = 1.0

log = logs.get("worker")


def consumer_of(backend: Backend, settings: Settings, scripts: Scripts, worker_id: str) -> Consumer:
    match backend:
        case Backend.RQ:
            return rq_queue.RqConsumer(settings, scripts, worker_id)
        case Backend.STREAMS:
            return redis_stream.StreamConsumer(settings, scripts, worker_id)
        case Backend.KAFKA:
            return kafka_topic.KafkaConsumer(settings, Ledger(scripts), worker_id)


async def named(presence: Presence, redis: Redis, stop: asyncio.Event) -> str:
    """Waits for a Redis that can hold the ledger, then takes this worker's name. Raises NameTaken."""
    while not stop.is_set():
        try:
            await check(redis)
            return await presence.take_name()
        except ClusterRefused:
            raise
        except (RedisError, OSError, LedgerUnavailable) as error:
            log.warning("waiting_for_redis", error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT_FOR_REDIS_SECONDS):
                    await stop.wait()
    return ""


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = socket.gethostbyname(socket.gethostname())
    return f"http://{host}:{port}"


async def run(settings: Settings) -> None:
    """Until SIGTERM or SIGINT: then running jobs finish or are handed back."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        redis = connect(settings, connections=16)
        stack.push_async_callback(redis.aclose)
        presence = Presence(redis, settings)
        worker_id = await named(presence, redis, stop)
        if stop.is_set():
            return
        logs.always(workerId=worker_id)  # without Docker all workers write to one file
        stack.push_async_callback(presence.leave)
        tools = await tools_of(settings, redis, worker_id, stack, rq_queue.LUA + "\n" + redis_stream.LUA)
        await work(settings, tools, presence, stop, stack)


def side_of(settings: Settings, tools: Tools, own: stats.WorkerStats) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        yield {"keys": Keys(tools.ledger.scripts.redis, settings)}

    return create_app(
        "worker",
        settings,
        default_port=0,
        lifespan=lifespan,
        routers=[stats.router(own)],
        about={"workerId": tools.worker_id},
        metrics=tools.metrics,
        scrape=own.scrape,
    )


async def work(
    settings: Settings, tools: Tools, presence: Presence, stop: asyncio.Event, stack: AsyncExitStack
) -> None:
    heartbeat, suspects = Heartbeat(settings), Suspects(tools.worker_id)
    stack.push_async_callback(suspects.close)
    lanes: list[tuple[Consumer, Processor]] = []
    for backend in settings.backends:
        consumer = consumer_of(backend, settings, tools.ledger.scripts, tools.worker_id)
        await consumer.open()
        stack.push_async_callback(consumer.close)
        slots = Slots(settings.concurrency(backend))
        lanes.append((consumer, Processor(backend, tools, slots, heartbeat, suspects)))
    own = stats.WorkerStats(tools.worker_id, lanes, tools.metrics, tools.ledger.scripts, heartbeat)
    app = side_of(settings, tools, own)
    listener = server.listen("worker", settings.bind_host, settings.port)
    about = {"address": address_of(listener)}
    log.event("worker_started", **about)
    finished = asyncio.Event()
    background: list[Any] = [
        heartbeat.run(finished),
        Standstill(settings.lease_seconds, heartbeat.types).watch(finished),
        tools.watch.run(finished),
        presence.run(lambda: about | own.beat(), stop, finished),
        server.run(app, listener, finished),
        pauses.follow(Limits(tools.ledger.scripts), {lane.backend: lane.slots for _, lane in lanes}, finished),
        janitor.run(Documents(settings.documents_dir), tools.ledger, settings.ledger_retention, finished),
    ]
    tasks = [asyncio.create_task(each) for each in background]
    try:
        await Supervisor(lanes, settings).run(stop)
    finally:
        finished.set()
        await asyncio.wait(tasks, timeout=8)
    log.event("worker_stopped")


def main() -> None:
    settings = read(Settings)
    auth.check_settings(settings)  # now, and not after a long wait for Redis
    logs.configure("worker", settings.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings))
    except (NameTaken, ClusterRefused) as error:
        raise SystemExit(f"worker: {error}") from None


if __name__ == "__main__":
    main()
