from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI
from starlette.types import Message

from booking_queue.settings import Settings
from booking_queue.tasks import end
from booking_queue.web.service import create_app
from booking_queue.web.sse import FLUSH_BYTES, Event, EventStream
from tests.services.live_app import Live, live


class Source:
    """Events put in by the test; knows when it was closed."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self.closed = asyncio.Event()

    async def events(self) -> AsyncIterator[Event]:
        try:
            while (event := await self.queue.get()) is not None:
                yield event
        finally:
            self.closed.set()


def app(source: Source, **options: Any) -> FastAPI:
    router = APIRouter()

    @router.get("/events", response_class=EventStream)
    async def events() -> EventStream:
        return EventStream(source.events(), service.state.stopping, **options)

    service = create_app("test", Settings(), default_port=0, routers=[router])
    return service


async def chunks(server: Live, wanted: str) -> list[str]:
    got: list[str] = []
    async with server.http.stream("GET", "/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        async for text in answer.aiter_text():
            got.append(text)
            if wanted in "".join(got):
                break
    return got


async def test_frames_carry_id_event_and_data_and_the_end_says_bye() -> None:
    source = Source()
    source.queue.put_nowait(Event("7-0", "leg", '{"state":"active"}'))
    source.queue.put_nowait(Event(None, None, '"two\\nlines"'))
    source.queue.put_nowait(None)
    async with live(app(source)) as server:
        text = (await server.http.get("/events")).text
    assert 'event: leg\ndata: {"state":"active"}\nid: 7-0\n\n' in text
    assert 'data: "two\\nlines"\n\n' in text
    assert text.endswith("event: bye\ndata: {}\n\n")


async def test_a_stopping_service_says_bye_at_once() -> None:
    source = Source()
    async with live(app(source)) as server:
        reading = asyncio.create_task(server.http.get("/events"))
        await asyncio.sleep(0.2)
        server.stop.set()
        text = (await asyncio.wait_for(reading, 20)).text
        assert text.endswith("event: bye\ndata: {}\n\n")
    assert source.closed.is_set()


async def test_silence_is_kept_alive() -> None:
    source = Source()
    async with live(app(source, keep_alive=0.1)) as server:
        got = "".join(await asyncio.wait_for(chunks(server, ": keep-alive\n\n: keep-alive"), 20))
    assert got.startswith(": connected\n\n")


async def test_bursts_are_merged_into_few_writes() -> None:
    source = Source()

    async def feed() -> None:
        for number in range(500):
            source.queue.put_nowait(Event(str(number), "leg", "{}"))
            await asyncio.sleep(0.001)

    async with live(app(source)) as server:
        feeding = asyncio.create_task(feed())
        started = asyncio.get_running_loop().time()
        got = await asyncio.wait_for(chunks(server, "id: 499\n"), 30)
        seconds = asyncio.get_running_loop().time() - started
        await feeding
    assert "".join(got).count("event: leg") == 500
    # a merged write may reach the client in two reads, never one read an event
    assert len(got) <= 2 * (10 * seconds + 3)


class Endless:
    """As many events as it is asked for."""

    def __init__(self) -> None:
        self.given = 0

    async def events(self) -> AsyncIterator[Event]:
        while True:
            await asyncio.sleep(0)
            self.given += 1
            yield Event(str(self.given), "leg", "x" * 1000)


async def test_a_client_that_takes_nothing_costs_a_bounded_buffer_and_its_source_waits() -> None:
    source, bodies, stuck = Endless(), list[bytes](), asyncio.Event()

    async def send(message: Message) -> None:
        bodies.append(message.get("body", b""))
        if len(bodies) == 8:
            stuck.set()
            await asyncio.Event().wait()

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    stream = EventStream(source.events(), asyncio.Event())
    task = asyncio.create_task(stream({}, receive, send))
    await asyncio.wait_for(stuck.wait(), 20)
    for _ in range(5000):
        await asyncio.sleep(0)
    await end(task)
    assert max(map(len, bodies)) < FLUSH_BYTES + 2000
    assert source.given * 1000 < sum(map(len, bodies)) + FLUSH_BYTES + 2000


async def test_what_comes_faster_than_pieces_are_written_comes_whole_and_in_order() -> None:
    source = Source()
    for number in range(3000):
        source.queue.put_nowait(Event(str(number), "leg", f'"{"x" * 400}"'))
    source.queue.put_nowait(None)
    async with live(app(source)) as server:
        text = (await server.http.get("/events")).text
    assert [line for line in text.splitlines() if line.startswith("id: ")] == [f"id: {n}" for n in range(3000)]


async def test_a_client_that_leaves_frees_the_source() -> None:
    source = Source()
    source.queue.put_nowait(Event("1", "leg", "{}"))
    async with live(app(source)) as server:
        await chunks(server, "event: leg")
        await asyncio.wait_for(source.closed.wait(), 20)


async def test_a_source_that_fails_ends_the_stream_cleanly() -> None:
    async def failing() -> AsyncIterator[Event]:
        yield Event("1", "leg", "{}")
        raise RuntimeError("secret")

    router = APIRouter()

    @router.get("/events")
    async def events() -> EventStream:
        return EventStream(failing(), service.state.stopping)

    service = create_app("test", Settings(), default_port=0, routers=[router])
    async with live(service) as server, httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"{server.url}/events")).text
    assert "event: leg" in text and text.endswith("event: bye\ndata: {}\n\n") and "secret" not in text
