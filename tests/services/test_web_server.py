from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from fastapi import APIRouter, FastAPI
from starlette.requests import Request

from booking_queue.settings import Settings
from booking_queue.web import health, protocol, server
from booking_queue.web.service import create_app
from tests.services.live_app import live

PROGRAM = """
import asyncio
from contextlib import asynccontextmanager
from fastapi import APIRouter
from booking_queue.settings import Settings
from booking_queue.web.server import serve
from booking_queue.web.service import create_app
from booking_queue.web.sse import EventStream

routes = APIRouter()

@asynccontextmanager
async def lifespan(app):
    yield {}
    print("lifespan over", flush=True)

async def nothing():
    await asyncio.Event().wait()
    yield

@routes.get("/slow")
async def slow() -> dict[str, bool]:
    await asyncio.sleep(1)
    return {"finished": True}

@routes.get("/stuck")
async def stuck() -> None:
    await asyncio.sleep(3600)

@routes.get("/events")
async def events():
    return EventStream(nothing(), app.state.stopping)

settings = Settings()
app = create_app("demo", settings, default_port=1, lifespan=lifespan, routers=[routes])
serve(app, settings)
"""


@asynccontextmanager
async def program(tmp_path: Path, **env: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    file = tmp_path / "demo.py"
    file.write_text(PROGRAM)
    listener = server.listen("test", "127.0.0.1", 0)
    port = listener.getsockname()[1]
    listener.close()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(file),
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), "PORT": str(port), **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process, port
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def listening(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout
    line: dict[str, Any] = orjson.loads(await asyncio.wait_for(process.stdout.readline(), 60))
    return line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_streams_lets_requests_finish_and_exits_0(tmp_path: Path, number: signal.Signals) -> None:
    async with program(tmp_path) as (process, port):
        line = await listening(process)
        assert (line["event"], line["service"], line["port"]) == ("listening", "demo", port)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            assert (await http.get("/readyz")).status_code == 200
            slow = asyncio.create_task(http.get("/slow"))
            events = asyncio.create_task(http.get("/events"))
            await asyncio.sleep(0.3)
            process.send_signal(number)
            while (ready := await http.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.01)
            assert ready.status_code == 503 and ready.json()["status"] == "stopping"
            assert (await events).text.endswith("event: bye\ndata: {}\n\n")
            assert (await slow).json() == {"finished": True}
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0 and err == b""
        assert b"lifespan over" in out and b'"event":"stopped"' in out


async def test_a_stuck_request_does_not_hold_the_exit_beyond_its_grace(tmp_path: Path) -> None:
    async with program(tmp_path) as (process, port):
        await listening(process)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            stuck = asyncio.create_task(http.get("/stuck", timeout=30))
            await asyncio.sleep(0.3)
            process.terminate()
            await asyncio.wait_for(process.communicate(), server.GRACE_SECONDS + 30)
            assert process.returncode == 0
            await asyncio.gather(stuck, return_exceptions=True)


async def test_a_second_signal_ends_the_waiting(tmp_path: Path) -> None:
    async with program(tmp_path) as (process, port):
        await listening(process)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            stuck = asyncio.create_task(http.get("/stuck", timeout=30))
            await asyncio.sleep(0.3)
            process.terminate()
            await asyncio.sleep(0.6)
            process.terminate()
            await asyncio.wait_for(process.communicate(), server.GRACE_SECONDS - 1)
            await asyncio.gather(stuck, return_exceptions=True)


async def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    async with program(tmp_path) as (first, port):
        await listening(first)
        async with program(tmp_path, PORT=str(port)) as (second, _):
            out, err = await asyncio.wait_for(second.communicate(), 60)
            assert second.returncode == 1 and out == b""
            assert err.decode() == f"demo: port {port} on 127.0.0.1 is taken; set PORT to another\n"


async def test_an_unsafe_bind_is_one_clear_line(tmp_path: Path) -> None:
    async with program(tmp_path, BIND_HOST="0.0.0.0") as (process, _):
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 1 and out == b""
        assert err.decode().startswith("AUTH=open does not listen on 0.0.0.0: ") and err.count(b"\n") == 1


def checked_app(broken: dict[str, bool]) -> FastAPI:
    async def redis(request: Request) -> Mapping[str, Any]:
        if broken.get("redis"):
            raise ConnectionError("redis://secret-host")
        return {"role": "master"}

    async def slow(request: Request) -> None:
        await asyncio.sleep(60 if broken.get("slow") else 0)

    return create_app(
        "demo",
        Settings(),
        default_port=0,
        about={"queue": "booking-queue"},
        checks={"redis": redis, "slow": slow},
    )


async def test_health_and_readiness_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.1)
    broken: dict[str, bool] = {}
    async with live(checked_app(broken)) as running:
        assert (await running.http.get("/health")).json() == {
            "status": "ok",
            "service": "demo",
            "queue": "booking-queue",
            "redis": "connected",
            "role": "master",
            "slow": "connected",
        }
        assert (await running.http.get("/readyz")).json()["checks"] == {"redis": "ok", "slow": "ok"}
        broken.update(redis=True, slow=True)
        for path in ("/health", "/readyz"):
            answer = await running.http.get(path)
            assert answer.status_code == 503 and "secret" not in answer.text
        body = (await running.http.get("/health")).json()
        assert body["status"] == "error" and body["redis"] == "disconnected"
        assert body["message"] == "redis: ConnectionError; slow: no answer within 0.1 s"
        assert (await running.http.get("/livez")).status_code == 200


async def test_metrics_are_the_apps_own() -> None:
    async def scrape(request: Request) -> None:
        request.app.state.metrics.rq_workers.set(3)

    one = create_app("one", Settings(), default_port=0, scrape=scrape)
    two = create_app("two", Settings(), default_port=0)
    one.state.metrics.jobs_enqueued.labels("rq").inc(5)
    async with live(one) as first, live(two) as second:
        text = (await first.http.get("/metrics")).text
        assert 'jobs_enqueued_total{backend="rq"} 5.0' in text and "rq_workers 3.0" in text
        assert "process_resident_memory_bytes" in text
        assert 'jobs_enqueued_total{backend="rq"}' not in (await second.http.get("/metrics")).text


async def test_a_connection_that_never_sends_its_head_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    async with live(create_app("demo", Settings(), default_port=0)) as running:
        for start in (b"", b"GET /livez HTTP/1.1\r\nhost: x\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(start)
            assert await asyncio.wait_for(reader.read(), 20) == b""
            writer.close()
        # a kept connection's next head has the same deadline, and a request under way has none
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200" in await reader.readline()
        writer.write(b"GET /li")
        assert b"HTTP/1.1" not in await asyncio.wait_for(reader.read(), 20)
        writer.close()


async def test_a_connection_too_many_is_told_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 1)
    async with live(create_app("demo", Settings(), default_port=0)) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 200 " in await reader.readline(), "the first is served"
        answer = await running.http.get("/livez")
        assert answer.status_code == 503 and answer.headers["retry-after"]
        assert answer.headers["content-type"] == "application/problem+json"
        writer.close()
        while (await running.http.get("/livez")).status_code != 200:
            await asyncio.sleep(0.01)


async def test_requests_slower_than_the_head_deadline_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    router = APIRouter()

    @router.get("/slow")
    async def slow() -> dict[str, bool]:
        await asyncio.sleep(0.4)
        return {"finished": True}

    async with live(create_app("demo", Settings(), default_port=0, routers=[router])) as running:
        assert (await running.http.get("/slow")).json() == {"finished": True}
