"""The gateway as the process that users run."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from booking_queue.settings import Settings
from local.probe import free_port
from tests.services.api_world import BOOKING, until


@asynccontextmanager
async def gateway(
    settings: Settings, **env: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    port = free_port()
    ours = {
        "PORT": str(port),
        "REDIS_HOST": settings.redis_host,
        "REDIS_PORT": str(settings.redis_port),
        "REDIS_PASSWORD": settings.redis_password or "",
        "KEY_PREFIX": settings.key_prefix,
        **{f"{name}_SERVICE_URL": "http://127.0.0.1:1" for name in ("QUEUE", "STREAM", "KAFKA")},
        **env,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api_service.app", env={**os.environ, **ours}, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as http:
            await until(lambda: alive(http), 30)
            yield process, http
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def alive(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/livez")).status_code == 200
    except httpx.TransportError:
        return False


async def test_sigterm_says_bye_answers_what_is_under_way_and_exits_with_0(redis_settings: Settings) -> None:
    async with gateway(redis_settings) as (process, http):

        async def book() -> int:
            return (await http.post("/api/bookings", json=BOOKING)).status_code

        async def follow() -> str:
            async with http.stream("GET", "/api/events") as answer:
                return "".join([text async for text in answer.aiter_text()])

        following = asyncio.create_task(follow())
        assert {await book() for _ in range(5)} == {202}
        under_way = [asyncio.create_task(book()) for _ in range(20)]
        await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert set(await asyncio.gather(*under_way)) == {202}
        assert (await asyncio.wait_for(following, 5)).endswith("event: bye\ndata: {}\n\n")
        assert await asyncio.wait_for(process.wait(), 8) == 0


async def test_with_auth_required_nothing_but_liveness_is_open(redis_settings: Settings) -> None:
    async with gateway(redis_settings, AUTH="required", API_KEY="a-key-of-the-test") as (_, http):
        for method, path in (("POST", "/api/bookings"), ("POST", "/api/bookings/delayed"), ("GET", "/api/events")):
            answer = await http.request(method, path, json=BOOKING if method == "POST" else None)
            assert answer.status_code == 401, path
        answer = await http.post("/api/bookings", json=BOOKING, headers={"x-api-key": "a-key-of-the-test"})
        assert answer.status_code == 202
