"""What a worker says of itself, to who asks it and under its name."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest

from booking_queue.backends.redis_stream import LUA
from booking_queue.domain.job import Backend
from booking_queue.ledger.connection import connect
from booking_queue.ledger.epoch import Epoch
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from booking_queue.web.client import ServiceClient
from monitoring_service import sources
from monitoring_service.ledger_reader import LedgerReader
from tests.contract.worker import eventually
from worker_service import heartbeat
from worker_service.app import work
from worker_service.attempt import tools_of


async def test_whoever_looks_spoils_no_figure_of_a_worker(
    redis_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How busy the processor is, is measured since the last time it was: so at each heartbeat, not at each look."""
    asked, stop = itertools.count(1), asyncio.Event()
    monkeypatch.setattr(psutil.Process, "cpu_percent", lambda self: float(next(asked)))
    monkeypatch.setattr(heartbeat, "PRESENCE_SECONDS", 3600)
    settings = redis_settings.model_copy(update={"worker_backends": "redisStreams", "documents_dir": tmp_path})
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connect(settings))
        reader = LedgerReader(redis, settings, Epoch(redis, settings, Metrics()))

        async def alive() -> list[sources.Presence]:
            return (await reader.roll()).alive

        presence = heartbeat.Presence(redis, settings)
        tools = await tools_of(settings, redis, await presence.take_name(), stack, LUA)
        working = asyncio.create_task(work(settings, tools, presence, stop, stack))
        (told,) = await eventually(alive, "its first heartbeat")
        assert (told.running, told.parked) == ({Backend.STREAMS: 0}, {Backend.STREAMS: 0})
        async with ServiceClient(told.address) as worker:
            looks = [(await worker.get("/stats"))["cpuPercent"] for _ in range(3)]
        stop.set()
        await working
    assert looks == [2.0] * 3, "measured when it started, and at its first heartbeat"
