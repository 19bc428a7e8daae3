"""uvicorn's HTTP protocol with bounds: on a request's head, on the time it may take, on the time in which a client
takes nothing of what is written to it, and on connections."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from booking_queue.web import problems
from booking_queue.web.problems import Problem

HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 10.0
UNREAD_SECONDS = 15.0  # between two looks: who took nothing from one to the next is cut off, after at most twice that
MAX_CONNECTIONS = 4000

_NO_HTTP = Problem(400, "The request is no HTTP/1.1, or its head is too large", headers={"Connection": "close"})
_FULL = Problem(
    503,
    "As many connections as this service takes are open: try again in a few seconds",
    headers={"Connection": "close", "Retry-After": str(problems.RETRY_AFTER_SECONDS)},
)


class HeadTooLarge(Exception):
    pass


class BoundedProtocol(HttpToolsProtocol):
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _unread = 0  # bytes that the last look found unwritten, where nothing can have been added to them since
    _unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_late)
        self._unread_timer = self.loop.call_later(UNREAD_SECONDS, self._look_at_unread)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """uvicorn takes any byte for a next request. A line end, or the rest of an answered request, begins none."""
        super().data_received(data)
        between = self.cycle is not None and self.cycle.response_complete
        if between and self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_late)

    def resume_writing(self) -> None:
        self._unread = 0
        super().resume_writing()

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_late)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._cancel_timer()
        app = self.app
        if len(self.connections) > MAX_CONNECTIONS:
            self.app = _refuse
        super().on_headers_complete()
        self.app = app

    def send_400_response(self, msg: str) -> None:
        """A problem, as every other refusal is."""
        answer = problems.response(_NO_HTTP, {})
        head = b"".join(name + b": " + value + b"\r\n" for name, value in answer.raw_headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + head + b"\r\n" + bytes(answer.body))
        self.transport.close()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES:
            raise HeadTooLarge  # httptools makes a parser error of it, uvicorn a 400 and a close

    def _head_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()

    def _look_at_unread(self) -> None:
        """Where writing is paused, or ends with the close, what is unwritten only ever shrinks: unless nobody reads."""
        shrinking = self.flow.write_paused or self.transport.is_closing()
        unread = self.transport.get_write_buffer_size() if shrinking else 0
        if 0 < self._unread <= unread:
            self._unread_timer = None
            self.transport.abort()
            return
        self._unread = unread
        self._unread_timer = self.loop.call_later(UNREAD_SECONDS, self._look_at_unread)

    def _cancel_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await problems.response(_FULL, scope)(scope, receive, send)
