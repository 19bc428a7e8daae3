"""What a stock RQ worker calls: `rq worker --serializer json booking-queue`, where this code can be imported."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from booking_queue import logs
from booking_queue.backends.rq.stock import StockJob, refuse
from booking_queue.backends.rq_queue import LUA
from booking_queue.backends.slots import Slots
from booking_queue.domain.errors import UnreadableMessage
from booking_queue.domain.job import Backend
from booking_queue.ledger.connection import connect
from booking_queue.tasks import end
from worker_service.attempt import tools_of
from worker_service.heartbeat import Heartbeat
from worker_service.processor import Processor


def perform(type: str, data: dict[str, Any]) -> Any:
    """Runs the job at hand once, as our own worker would. What it gives back is for RQ's worker to record."""
    try:
        return asyncio.run(_perform(StockJob(), type, data))
    except UnreadableMessage as error:
        raise refuse(str(error)) from None


async def _perform(job: StockJob, kind: str, data: dict[str, Any]) -> Any:
    settings = job.settings()
    logs.configure("worker", settings.log_level)
    logs.always(workerId=job.worker_id)
    async with AsyncExitStack() as stack:
        redis = connect(settings)
        stack.push_async_callback(redis.aclose)
        tools = await tools_of(settings, redis, job.worker_id, stack, LUA)
        delivery = await job.delivery(tools.ledger, kind, data)
        heartbeat, never = Heartbeat(settings), asyncio.Event()
        beside = [asyncio.create_task(each.run(never)) for each in (heartbeat, tools.watch)]
        try:
            await Processor(Backend.RQ, tools, Slots(1), heartbeat).handle(delivery)
        finally:
            await end(*beside)
    return delivery.conclude()
