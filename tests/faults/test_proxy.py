"""The proxy does to a connection what it was asked to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from local.probe import LOOPBACK
from tests.faults.proxy import WELL, Mistreatment, Proxy


class Echo:
    """Answers each line with itself; `heard` is what took effect."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            self.heard.append(line)
            writer.write(line)
            await writer.drain()
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo()
    server = await asyncio.start_server(echo.answer, LOOPBACK, 0)
    echo.port = server.sockets[0].getsockname()[1]
    yield echo
    server.close()


async def said(port: int, line: bytes = b"hello\n") -> bytes:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(line)
        return await reader.readline()
    finally:
        writer.close()


async def test_untreated_it_passes_everything(echo: Echo) -> None:
    async with Proxy(echo.port) as proxy:
        assert await said(proxy.port) == b"hello\n"


async def test_a_lost_answer_has_taken_effect(echo: Echo) -> None:
    async with Proxy(echo.port) as proxy:
        proxy.treat(Mistreatment(lost_answers=1))
        assert await said(proxy.port) == b""
        assert (echo.heard, proxy.harmed) == ([b"hello\n"], 1)


async def test_a_reset_request_never_arrives(echo: Echo) -> None:
    async with Proxy(echo.port) as proxy:
        proxy.treat(Mistreatment(resets=1))
        with pytest.raises(ConnectionResetError):
            await said(proxy.port)
        assert echo.heard == []


async def test_a_hole_swallows_until_it_is_mended(echo: Echo) -> None:
    async with Proxy(echo.port) as proxy:
        proxy.treat(Mistreatment(hole=True))
        asking = asyncio.create_task(said(proxy.port))
        done, _ = await asyncio.wait({asking}, timeout=0.1)
        assert not done
        assert echo.heard == []
        proxy.treat(WELL)
        assert await asking == b"hello\n"


async def test_slow_is_slow(echo: Echo) -> None:
    async with Proxy(echo.port) as proxy:
        proxy.treat(Mistreatment(slow_ms=50))
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await said(proxy.port) == b"hello\n"
        assert loop.time() - began >= 0.1
