"""What a client without a key can hold open: a connection between two requests, and answers that it does not take."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import Response

from booking_queue.settings import Settings
from booking_queue.web import protocol
from booking_queue.web.protocol import BoundedProtocol
from booking_queue.web.service import create_app
from booking_queue.web.sse import Event, EventStream
from tests.services.live_app import Live, live

PATIENCE = 30
SIZE = 24 * 1024 * 1024  # more than the kernel keeps for a client that reads nothing


async def one_large() -> AsyncIterator[Event]:
    yield Event(None, "large", "x" * SIZE)
    await asyncio.Event().wait()


def large_app() -> FastAPI:
    router = APIRouter()

    @router.get("/large")
    async def large() -> Response:
        return Response(b"x" * SIZE)

    @router.get("/events")
    async def events() -> Response:
        return EventStream(one_large(), app.state.stopping)

    app = create_app("demo", Settings(), default_port=0, routers=[router])
    return app


class Watched(BoundedProtocol):
    """Tells of the end of a connection: to a client that reads nothing, nothing else does."""

    last: Watched
    lost: asyncio.Event

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        Watched.last, self.lost = self, asyncio.Event()
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()


class Unmarked(Watched):
    """Has no high-water mark, so that nothing but its close tells of what is unwritten."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=2 * SIZE)


@asynccontextmanager
async def asked(running: Live, path: str, headers: bytes = b"") -> AsyncIterator[tuple[socket.socket, Watched]]:
    """A client that has read the first byte of its answer, and the server's end of its connection."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", running.port))
        await loop.sock_sendall(client, b"GET " + path.encode() + b" HTTP/1.1\r\nhost: x\r\n" + headers + b"\r\n")
        assert await asyncio.wait_for(loop.sock_recv(client, 1), PATIENCE) == b"H"
        yield client, Watched.last


@pytest.mark.parametrize(
    ("length", "then"),
    [(b"", b"\r\n"), (b"content-length: 100000000\r\n", b"x")],
    ids=["a line end", "the rest of an answered request"],
)
async def test_bytes_that_begin_no_request_keep_no_connection(
    monkeypatch: pytest.MonkeyPatch, length: bytes, then: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    async with live(create_app("demo", Settings(), default_port=0)) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"GET /livez HTTP/1.1\r\nhost: x\r\n" + length + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        writer.write(then)
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()


async def test_a_request_after_a_line_end_is_answered_and_has_the_time_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    router = APIRouter()

    @router.get("/held")
    async def held() -> dict[str, bool]:
        assert Watched.last._head_timer is None, "the deadline of the next request ends with its head"
        return {"finished": True}

    async with live(create_app("demo", Settings(), default_port=0, routers=[router]), protocol=Watched) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        for before in (b"", b"\r\n"):
            writer.write(before)
            writer.write(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b" 200 " in await asyncio.wait_for(reader.readline(), PATIENCE)
            await reader.readuntil(b'{"finished":true}')
        writer.close()


@pytest.mark.parametrize("path", ["/large", "/events"])
async def test_who_takes_nothing_of_an_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", 0.2)
    async with live(large_app(), protocol=Watched) as running, asked(running, path) as (_, served):
        await asyncio.wait_for(served.lost.wait(), PATIENCE)


async def test_a_close_does_not_wait_for_ever_for_who_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", 0.2)
    async with (
        live(large_app(), protocol=Unmarked) as running,
        asked(running, "/large", b"connection: close\r\n") as (_, served),
    ):
        await asyncio.wait_for(served.lost.wait(), PATIENCE)


async def test_a_slow_client_is_left_its_connection() -> None:
    loop = asyncio.get_running_loop()
    async with live(large_app(), protocol=Watched) as running, asked(running, "/large") as (client, served):
        left, looks = served.transport.get_write_buffer_size(), 0
        while served.flow.write_paused:
            served._look_at_unread()
            while served.flow.write_paused and served.transport.get_write_buffer_size() == left:
                assert await asyncio.wait_for(loop.sock_recv(client, 1 << 20), PATIENCE)
                await asyncio.sleep(0)
            left, looks = served.transport.get_write_buffer_size(), looks + 1
        assert looks > 5 and not served.lost.is_set()
