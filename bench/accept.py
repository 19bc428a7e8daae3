"""Posts bookings over HTTP from many connections at once, each sending its next one when the last was answered."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import orjson

WARM_UP_SECONDS = 2.0
BOOKING = orjson.dumps(
    {"userId": "bench", "hotelId": "bench", "checkIn": "2026-05-01", "checkOut": "2026-05-03", "guests": 2}
)


@dataclass
class Load:
    """`latencies` in seconds, of the answers that came within the measured time. `batch`: bookings a request."""

    seconds: float
    start: float
    batch: int = 1
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def end(self) -> float:
        return self.start + self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    @property
    def accepted_per_second(self) -> float:
        return self.statuses.get(202, 0) * self.batch / self.seconds


async def load(host: str, port: int, *, connections: int, seconds: float, batch: int = 1) -> Load:
    """A batch is taken for accepted as a whole: each of its bookings is as good as the next."""
    measured = Load(seconds, time.perf_counter() + WARM_UP_SECONDS, batch)
    request = _single(host) if batch == 1 else _many(host, batch)
    await asyncio.gather(*(_connection(host, port, request, measured) for _ in range(connections)))
    return measured


def _single(host: str) -> bytes:
    return _request(host, "/api/bookings", BOOKING)


def _many(host: str, batch: int) -> bytes:
    return _request(host, "/api/bookings/batch", b'{"bookings":[' + b",".join([BOOKING] * batch) + b"]}")


def _request(host: str, path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    return head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _connection(host: str, port: int, request: bytes, measured: Load) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        while (sent := time.perf_counter()) < measured.end:
            writer.write(request)
            status = await _answer(reader)
            now = time.perf_counter()
            if measured.start <= now <= measured.end:
                measured.latencies.append(now - sent)
                measured.statuses[status] = measured.statuses.get(status, 0) + 1
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    await reader.readexactly(length)
    return int(head[9:12])
