"""HTTP/1.1 for the calls between services: kept connections and httptools' parser, nothing more.

httpx costs several times the CPU of the route it calls, on the path of every booking.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import NamedTuple, cast
from urllib.parse import quote, urlsplit

import httptools

MAX_RESPONSE = 32 * 1024 * 1024
IDLE_SECONDS = 3.0  # our servers close what idles for 5: never send into that
_SAFE = "/?&=:@!$'()*+,;-._~%"


class ConnectionLost(Exception):
    """The connection ended before the answer was complete."""


class Answer(NamedTuple):
    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """One request at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.open = False
        self._answer: asyncio.Future[Answer] | None = None

    async def exchange(self, request: bytes) -> Answer:
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._received = 0
        self._framed = self._ends_with_connection = False
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def close(self) -> None:
        self.open = False
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._answer is None or self._answer.done():
            return
        if self._ends_with_connection and exc is None:
            self._finish()  # a body without a length ends with its connection
        else:
            self._answer.set_exception(ConnectionLost(type(exc).__name__ if exc else "closed"))

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.close()  # bytes that nobody asked for
            return
        self._received += len(data)
        try:
            if self._received > MAX_RESPONSE:
                raise ConnectionLost("the answer is too large")
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, ConnectionLost) as error:
            if not self._answer.done():
                self._answer.set_exception(ConnectionLost(str(error) or "not HTTP"))
            self.close()

    def on_message_begin(self) -> None:
        if self._answer and self._answer.done():
            self.open = False  # a second answer: whose?

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        self._ends_with_connection = not self._framed and self._parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= 200:
            self.open = self.open and self._parser.should_keep_alive()
            self._finish()

    def _finish(self) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_result(Answer(self._parser.get_status_code(), bytes(self._body)))


class Http:
    """Requests to one server over at most `max_connections`. Raises OSError or ConnectionLost."""

    def __init__(self, base_url: str, headers: Mapping[str, str], max_connections: int):
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"not an http URL: {base_url!r}")
        self._tls = url.scheme == "https"
        self._host, self._port = url.hostname, url.port or (443 if self._tls else 80)
        self._prefix = url.path.rstrip("/")
        self._head = "".join(f"{name}: {value}\r\n" for name, value in {"host": url.netloc, **headers}.items())
        self._free = asyncio.Semaphore(max_connections)
        self._idle: list[tuple[Connection, float]] = []

    async def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Not sent again by itself, whatever happens."""
        head = self._head + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        target = quote(self._prefix + path, safe=_SAFE)
        request = f"{method} {target} HTTP/1.1\r\n{head}content-length: {len(body)}\r\n\r\n".encode("latin-1")
        if request.count(b"\n") != len(headers) + self._head.count("\n") + 3:
            raise ValueError("a header must not hold a line end")
        async with self._free:
            connection = self._take() or await self._connect()
            try:
                answer = await connection.exchange(request + body)
            except BaseException:
                connection.close()
                raise
            if connection.open:
                self._idle.append((connection, time.monotonic()))
            else:
                connection.close()
            return answer

    def close(self) -> None:
        while self._idle:
            self._idle.pop()[0].close()

    def _take(self) -> Connection | None:
        while self._idle:
            connection, since = self._idle.pop()
            if connection.open and time.monotonic() - since < IDLE_SECONDS:
                return connection
            connection.close()
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self._host, self._port, ssl=self._tls or None)
        return connection
