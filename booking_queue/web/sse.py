"""Server-sent events to one client.

Built on fastapi.sse's frame format only: its own streaming writes each event by itself and knows no end
but the generator's. Here frames are merged and written at most FLUSHES_A_SECOND times a second, in pieces of
FLUSH_BYTES. A slow client costs two of them besides what its connection holds, and its source waits meanwhile.
A service that stops says `bye`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from booking_queue import logs
from booking_queue.tasks import end

KEEP_ALIVE_SECONDS = 15.0
FLUSHES_A_SECOND = 10
FLUSH_BYTES = 32 * 1024
log = logs.get("sse")

_TEXT = {"type": "string"}
_EVENT = {"type": "object", "properties": {"id": _TEXT, "event": _TEXT, "data": _TEXT}}
# What FastAPI cannot know of a route that gives an EventStream.
DOCUMENTED = {"responses": {"200": {"content": {"text/event-stream": {"schema": _EVENT}}}}}

_KEEP_ALIVE = b": keep-alive\n\n"


class Event(NamedTuple):
    id: str | None
    event: str | None
    data: str
    """JSON text."""


class EventStream(StreamingResponse):
    """A response that streams `source` until it ends, the client leaves, `stopping` is set, or it is `allowed` no more.

    The source is asked for no more than the client takes; what it drops of what waits with it, it tells by an event.
    `place` is held meanwhile.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        source: AsyncIterator[Event],
        stopping: asyncio.Event,
        *,
        allowed: Callable[[], Awaitable[bool]] | None = None,
        place: AbstractContextManager[None] | None = None,
        keep_alive: float = KEEP_ALIVE_SECONDS,
    ):
        super().__init__((), headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"})
        self.source = source
        self.stopping = stopping
        self.allowed = allowed
        self.place = place or contextlib.nullcontext()
        self.keep_alive = keep_alive
        self._frames = bytearray()
        self._ended = False
        self._wake = asyncio.Event()
        self._room = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.place:
            await self._stream(receive, send)

    async def _stream(self, receive: Receive, send: Send) -> None:
        tasks = [
            asyncio.create_task(self._pump()),
            asyncio.create_task(self._watch_stopping()),
            asyncio.create_task(_until_disconnect(receive)),
        ]
        writer = asyncio.create_task(self._write(send))
        try:
            await asyncio.wait([writer, tasks[2]], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(writer, *tasks)
            if close := getattr(self.source, "aclose", None):
                await close()
        if not writer.cancelled() and (error := writer.exception()):
            raise error

    async def _pump(self) -> None:
        try:
            async for id, event, data in self.source:
                self._frames += format_sse_event(id=id, event=event, data_str=data)
                self._wake.set()
                if self._full:
                    self._room.clear()
                    await self._room.wait()
        except Exception as error:
            log.error("event_source_failed", exc=error)
        finally:
            self._ended = True
            self._wake.set()

    @property
    def _full(self) -> bool:
        return len(self._frames) >= FLUSH_BYTES

    async def _watch_stopping(self) -> None:
        await self.stopping.wait()
        self._wake.set()

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await _body(send, b": connected\n\n")
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.keep_alive):
                    await self._wake.wait()
            refused = self.allowed is not None and not await self.allowed()
            self._wake.clear()
            last = self._ended or self.stopping.is_set() or refused
            more, frames = self._full, b"" if refused else self._take()
            if last:
                frames += format_sse_event(event="bye", data_str="{}")
            await _body(send, frames or _KEEP_ALIVE, more=not last)
            if last:
                return
            if not more:
                await asyncio.sleep(1 / FLUSHES_A_SECOND)

    def _take(self) -> bytes:
        frames = bytes(self._frames)
        self._frames.clear()
        self._room.set()
        return frames


async def _body(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
