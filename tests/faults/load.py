"""Sends bookings from outside, and keeps a log of its own of what it was promised: on the disk before it goes on."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from local.probe import LOOPBACK
from tests.faults.history import TOGETHER, Attempt, Expected, Outcome, read_log

ANSWER_SECONDS = 15.0
BACKENDS = ("rq", "redisStreams", "kafka")


@dataclass(frozen=True)
class Asked:
    """A booking to send, to one backend or TOGETHER. `more` goes into its body."""

    user: str
    hotel: str
    backend: str
    expected: Expected = Expected.COMPLETED
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        stay = {"checkIn": "2027-03-01", "checkOut": "2027-03-02"}
        backends = BACKENDS if self.backend == TOGETHER else [self.backend]
        return orjson.dumps({"userId": self.user, "hotelId": self.hotel, **stay, "backends": backends, **self.more})


def bookings(
    hotel: str, count: int, backends: Sequence[str] = (), *, slow_share: float = 0.0, slow_ms: int = 0
) -> Iterator[Asked]:
    """`count` to each backend, in turn, and where none is named a tenth of that to all TOGETHER; a share of them with
    steps of `slow_ms`."""
    slow = {"simulate": {"slowMs": slow_ms}}
    for n in range(count):
        for backend in backends or ([*BACKENDS, TOGETHER] if n % 10 == 0 else BACKENDS):
            more = slow if random.random() < slow_share else {}
            yield Asked(f"{hotel}-{backend.replace(' ', '-')}-{n}", hotel, backend, more=more)


def hopeless(hotel: str, count: int, expected: Expected = Expected.DEAD) -> Iterator[Asked]:
    """They fail at every attempt, until they are redriven."""
    for n in range(count):
        for backend in BACKENDS:
            simulate = {"failAt": "mail", "times": 10}
            yield Asked(f"{hotel}-hopeless-{backend}-{n}", hotel, backend, expected, {"simulate": simulate})


class Log:
    """JSON lines. `write` returns once the line is on the disk; lines of the same moment share an fsync."""

    def __init__(self, path: Path):
        self.path = path
        self._file = path.open("ab")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, **line: Any) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((orjson.dumps({"at": time.time(), **line}) + b"\n", future))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._flush())
        await future

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await asyncio.to_thread(self._append, b"".join(line for line, _ in batch))
            for _, future in batch:
                if not future.done():
                    future.set_result(None)

    def _append(self, lines: bytes) -> None:
        self._file.write(lines)
        self._file.flush()
        os.fsync(self._file.fileno())

    def attempts(self) -> list[Attempt]:
        return read_log([orjson.loads(line) for line in self.path.read_bytes().splitlines()])


class Load:
    """Sends each booking once and never again: what becomes of an unanswered one is the checker's question."""

    def __init__(self, port: int, log: Log, *, connections: int = 12, per_second: float | None = None):
        self._port = port
        self._log = log
        self._connections = connections
        self._every = 1 / per_second if per_second else 0.0
        self.acked: list[str] = []
        self.sent = 0

    async def send(self, asked: Iterable[Asked]) -> None:
        """Closed loop: a connection sends its next one when the last was answered; with `per_second` not before its
        time, so that with connections enough the loop is open."""
        start = time.monotonic()
        plan = ((start + n * self._every, one) for n, one in enumerate(asked))
        await asyncio.gather(*(self._connection(plan) for _ in range(self._connections)))

    async def _connection(self, plan: Iterator[tuple[float, Asked]]) -> None:
        link: _Link | None = None
        for due, one in plan:
            await asyncio.sleep(max(0, due - time.monotonic()))
            link = await self._send(link, one)
        if link:
            link.close()

    async def _send(self, link: _Link | None, one: Asked) -> _Link | None:
        """The connection to go on with; None after it failed."""
        await self._log.write(what="attempt", user=one.user, backend=one.backend, expected=one.expected)
        self.sent += 1
        start = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                link = link or await _Link.open(self._port)
                status, retry_after, answer = await link.post("/api/bookings", one.body)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            if link:
                link.close()
            why = type(error).__name__
            await self._learned(one, Outcome.UNKNOWN, start, why=why)
            return None
        if status == 202:
            booking = answer["bookingId"]
            await self._learned(one, Outcome.ACKED, start, bookingId=booking, status=status)
            self.acked.append(booking)
        else:
            await self._learned(one, Outcome.REFUSED, start, status=status, retryAfter=retry_after)
        return link

    async def _learned(self, one: Asked, what: Outcome, start: float, **more: Any) -> None:
        await self._log.write(what=what, user=one.user, seconds=round(time.monotonic() - start, 4), **more)


class _Link:
    """One keep-alive connection, which repeats nothing by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> _Link:
        return cls(*await asyncio.open_connection(LOOPBACK, port))

    async def post(self, path: str, body: bytes) -> tuple[int, str, Any]:
        """The status, Retry-After and the body."""
        head = f"POST {path} HTTP/1.1\r\nHost: lab\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        self._writer.write(f"{head}\r\n\r\n".encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        lines = (line.partition(b":") for line in answer.split(b"\r\n")[1:])
        headers = {name.lower(): value.strip() for name, _, value in lines}
        body = await self._reader.readexactly(int(headers.get(b"content-length", 0)))
        return int(answer[9:12]), headers.get(b"retry-after", b"").decode(), orjson.loads(body)

    def close(self) -> None:
        with suppress(OSError):
            self._writer.close()
