"""Keeps the consumers running: one that falls over is started again, one broker's absence leaves the others alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from booking_queue import logs
from booking_queue.backends.base import Consumer
from booking_queue.settings import Settings
from booking_queue.tasks import end
from worker_service.processor import Processor

RESTART_SECONDS = 1.0

log = logs.get("worker")


class Supervisor:
    def __init__(self, lanes: Sequence[tuple[Consumer, Processor]], settings: Settings):
        self._lanes = lanes
        self._grace = settings.shutdown_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then what runs may finish for SHUTDOWN_SECONDS, and the rest is handed back."""
        lanes = [asyncio.create_task(self._keep_running(*lane, stop)) for lane in self._lanes]
        try:
            await stop.wait()
            for _, processor in self._lanes:
                processor.stop()
            _, late = await asyncio.wait(lanes, timeout=self._grace)
            if late:
                log.warning("handing_back", jobs=sum(processor.slots.tasks for _, processor in self._lanes))
                for _, processor in self._lanes:
                    processor.abandon()
                await asyncio.wait(late, timeout=5)
        finally:
            await end(*lanes)

    async def _keep_running(self, consumer: Consumer, processor: Processor, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await consumer.run(processor.handle, processor.slots, stop)
            except Exception as error:
                log.error("consumer_failed", backend=consumer.backend, exc=error)
                with suppress(TimeoutError):
                    async with asyncio.timeout(RESTART_SECONDS):
                        await stop.wait()
