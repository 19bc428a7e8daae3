"""The RQ service on a real Redis, with workers and RQ's own library beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from booking_queue.settings import Settings
from queue_service.app import build
from tests.contract.lanes import Lane, lane_of
from tests.contract.worker import eventually
from tests.services.live_app import Live, live
from tests.unit.rq_side import RqSide, side_of

JOB: dict[str, Any] = {"type": "noop", "data": {"n": 1}}


@dataclass
class World:
    service: Live
    lane: Lane  # for workers
    rq: RqSide

    @property
    def http(self) -> httpx.AsyncClient:
        return self.service.http

    async def get(self, path: str) -> Any:
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, body: Any, path: str = "/jobs") -> Any:
        answer = await self.http.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def in_state(self, job_id: str, state: str) -> Any:
        async def there() -> Any:
            job = await self.get(f"/jobs/{job_id}")
            return job if job["state"] == state else None

        return await eventually(there, f"{job_id} to be {state}")


@asynccontextmanager
async def world_of(settings: Settings) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        lane = await stack.enter_async_context(lane_of("rq", settings))
        service = await stack.enter_async_context(live(build(settings)))
        yield World(service, lane, stack.enter_context(side_of(settings)))
