"""Posts bookings over HTTP from many connections at once, each sending its next one when the last was answered."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import orjson

BOOKING = orjson.dumps(
    {"userId": "bench", "hotelId": "bench", "checkIn": "2026-05-01", "checkOut": "2026-05-03", "guests": 2}
)


@dataclass
class Load:
    """`latencies` in seconds, of the answers that came within the measured time."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    @property
    def accepted_per_second(self) -> float:
        return self.statuses.get(202, 0) / self.seconds


async def load(host: str, port: int, *, connections: int, seconds: float, warm_up: float = 2.0) -> Load:
    measured = Load(seconds)
    start = time.perf_counter() + warm_up
    await asyncio.gather(*(_connection(host, port, measured, start, start + seconds) for _ in range(connections)))
    return measured


async def _connection(host: str, port: int, measured: Load, start: float, end: float) -> None:
    head = f"POST /api/bookings HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    request = head.encode() + f"Content-Length: {len(BOOKING)}\r\n\r\n".encode() + BOOKING
    reader, writer = await asyncio.open_connection(host, port)
    try:
        while (sent := time.perf_counter()) < end:
            writer.write(request)
            status = await _answer(reader)
            now = time.perf_counter()
            if start <= sent and now <= end:
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
