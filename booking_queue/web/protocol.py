"""uvicorn's HTTP protocol with bounds: on a request's head, on the time it may take, and on connections."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from booking_queue.web import problems
from booking_queue.web.problems import Problem

HEAD_BYTES = 32 * 1024
HEAD_SECONDS = 10.0
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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        super().connection_lost(exc)

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

    def _cancel_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await problems.response(_FULL, scope)(scope, receive, send)
