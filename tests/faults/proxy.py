"""A TCP proxy that mistreats its connections: drops answers whose request took effect, resets, swallows, delays."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import struct
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from local.probe import LOOPBACK, free_port

CHUNK = 64 * 1024
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


@dataclass(frozen=True)
class Mistreatment:
    """`lost_answers`: the share of answers in whose stead the connection ends; `resets`: the share of requests that are
    answered by a reset and never arrive; `slow_ms`: what each piece takes longer, either way; `hole`: nothing passes,
    and no one is told."""

    lost_answers: float = 0.0
    resets: float = 0.0
    slow_ms: float = 0.0
    hole: bool = False


WELL = Mistreatment()


class Proxy:
    def __init__(self, target_port: int, port: int = 0, tls: ssl.SSLContext | None = None):
        self.port = port or free_port()
        self.treatment = WELL
        self.harmed = 0
        self._target = target_port
        self._tls = tls
        self._passing = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._passing.set()
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server:
            self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def treat(self, treatment: Mistreatment) -> None:
        """From now on, connections that there are included."""
        self.treatment = treatment
        (self._passing.clear if treatment.hole else self._passing.set)()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._links.add(task)
        try:
            await self._link(reader, writer)
        except OSError:
            pass
        finally:
            self._links.discard(task)
            writer.close()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passing.wait()
        back, forth = await asyncio.open_connection(LOOPBACK, self._target)
        ways = [
            asyncio.create_task(self._pass(reader, forth, writer, answers=False)),
            asyncio.create_task(self._pass(back, writer, writer, answers=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            forth.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        """Until one side ends, or this piece is the one that goes wrong."""
        with suppress(OSError):
            while piece := await reader.read(CHUNK):
                self.harmed += not self._passing.is_set()
                await self._passing.wait()
                treatment = self.treatment
                if treatment.slow_ms:
                    self.harmed += 1
                    await asyncio.sleep(treatment.slow_ms / 1000)
                if random.random() < (treatment.lost_answers if answers else treatment.resets):
                    self.harmed += 1
                    if not answers:
                        _reset(client)
                    return
                writer.write(piece)
                await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """So that the client reads ECONNRESET, not an end."""
    link = writer.get_extra_info("socket")
    if link is not None:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
