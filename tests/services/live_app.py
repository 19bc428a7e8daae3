"""Runs an app on a real socket in the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from fastapi import FastAPI

from booking_queue.web import server
from booking_queue.web.protocol import BoundedProtocol


@dataclass
class Live:
    http: httpx.AsyncClient
    port: int
    stop: asyncio.Event
    task: asyncio.Task[None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def live(
    app: FastAPI, drain: float = 0, protocol: type[BoundedProtocol] = BoundedProtocol, port: int = 0
) -> AsyncIterator[Live]:
    listener = server.listen("test", "127.0.0.1", port)
    port = listener.getsockname()[1]
    stop = asyncio.Event()
    running = server.Server(app, protocol)
    task = asyncio.create_task(server.run(app, listener, stop, running, drain))
    while not running.started and not task.done():
        await asyncio.sleep(0.005)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as http:
        try:
            yield Live(http, port, stop, task)
        finally:
            stop.set()
            await asyncio.wait_for(task, 15)
