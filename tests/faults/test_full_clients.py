"""Clients that send too much, too slowly, or nonsense."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import psutil

from local.probe import LOOPBACK
from tests.faults.checker import Limits
from tests.faults.conftest import size
from tests.faults.lab import Lab, Trial
from tests.faults.load import Asked, Load, Log, bookings
from tests.faults.reruns import percentile
from tests.faults.results import Results

SLOW_CLIENTS = 500
RECOVERY_SECONDS = 30
HANG_SECONDS = 10
ODD: tuple[Any, ...] = (None, True, -1, 2**53, 1e308, "", "\x00", "a" * 5000, "2027-02-30", [], {}, [[[[]]]], {"a": {}})
ODD_NAMES = ("x", "%00", "%F0%9F", "..%2f", "0" * 300, "00000000-0000-4000-8000-1")
ODD_QUERIES = ("", "?limit=-1", "?cursor=%00", "?count=1e9", "?limit=%F0", "?state=x&state=y")
FIELDS = ("userId", "hotelId", "checkIn", "checkOut", "guests", "backends", "simulate", "delaySeconds", "type", "data")
GOOD = {"userId": "u", "hotelId": "odd", "checkIn": "2027-01-01", "checkOut": "2027-01-02"}


def endless(hotel: str) -> Iterator[Asked]:
    for n in itertools.count():
        yield from (Asked(f"{hotel}-{backend}-{n}", hotel, backend) for backend in ("rq", "redisStreams", "kafka"))


async def accepted(lab: Lab, name: str, seconds: float, connections: int, per_second: float | None = None) -> Load:
    """What is sent within `seconds`."""
    log = Log(lab.suite.folder / f"{name}.jsonl")
    load = Load(lab.suite.ports["api_service"], log, connections=connections, per_second=per_second)
    until = time.monotonic() + seconds
    await load.send(itertools.takewhile(lambda _: time.monotonic() < until, endless(name)))
    return load


async def test_overload(own_lab: Lab, results: Results) -> None:
    """Ten times what it can take, without waiting for answers: it goes on accepting, stays small, and comes back."""
    lab = own_lab
    await asyncio.to_thread(lab.start)
    await lab.started()
    peak = len((await accepted(lab, "peak", 8, 32)).acked) / 8
    api = psutil.Process(lab.suite.processes["api_service"].pid)
    memory, seconds = api.memory_info().rss, size(15, 300)
    over = await accepted(lab, "over", seconds, 400, 10 * peak)
    grown = api.memory_info().rss / memory
    recovered = await answering(lab)
    goodput = len(over.acked) / seconds / peak
    results.notes.append(
        f"Ten times the load of {peak:.0f} bookings/s for {seconds} s: {goodput:.0%} of that went on being accepted, "
        f"the gateway's memory grew to {grown:.1f} times, and it answered within a second after {recovered:.1f} s."
    )
    assert recovered <= RECOVERY_SECONDS


async def answering(lab: Lab) -> float:
    """Seconds until the gateway accepts a booking within one."""
    began, headers = time.monotonic(), {"content-type": "application/json"}
    async with asyncio.timeout(2 * RECOVERY_SECONDS), httpx.AsyncClient(timeout=RECOVERY_SECONDS) as http:
        while True:
            sent, body = time.monotonic(), next(endless("x")).body
            answer = await http.post(f"{lab.suite.url('api_service')}/api/bookings", content=body, headers=headers)
            if answer.status_code == 202 and time.monotonic() - sent < 1:
                return time.monotonic() - began
            await asyncio.sleep(0.1)


async def test_slow_clients(shared_lab: Lab, results: Results) -> None:
    """Hundreds that send a byte a second keep nobody else from being served."""
    lab = shared_lab
    await lab.started()
    port, count = lab.suite.ports["api_service"], size(60, 300)
    calm = Trial(lab, "calm")
    await calm.run(bookings("calm", count), per_second=30)
    crowd = [asyncio.create_task(dawdle(port)) for _ in range(SLOW_CLIENTS)]
    await asyncio.sleep(1)
    crowded = Trial(lab, "crowded")
    try:
        verdict = await crowded.run(bookings("crowded", count), per_second=30)
    finally:
        for client in crowd:
            client.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
    before, during = (percentile([a.seconds for a in trial.history.attempts], 0.99) for trial in (calm, crowded))
    notes = f"the others' answers' p99 {during * 1000:.0f} ms, {before * 1000:.0f} ms without"
    results.add(f"{SLOW_CLIENTS} connections that send a byte a second", verdict, notes)


async def dawdle(port: int) -> None:
    _, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        for byte in itertools.cycle(b"POST /api/bookings HTTP/1.1\r\nHost: slow\r\nX: "):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(1)
    finally:
        writer.close()


async def test_malformed_requests(own_lab: Lab, results: Results) -> None:
    """No 500 and no hang, whatever is sent; and bookings go on."""
    lab = own_lab
    await asyncio.to_thread(lab.start)
    await lab.started()
    statuses: dict[int, int] = {}

    async def nonsense(sent: asyncio.Event) -> None:
        async with httpx.AsyncClient(timeout=HANG_SECONDS) as http:
            for service in ("api_service", "queue_service", "stream_service", "kafka_service"):
                found = await fuzz(http, lab.suite.url(service), size(250, 2000))
                statuses.update({status: statuses.get(status, 0) + found.count(status) for status in found})
        await asyncio.gather(*(babble(lab.suite.ports["api_service"]) for _ in range(size(100, 2000))))

    verdict = await Trial(lab, "nonsense").run(bookings("nonsense", 50), nonsense, limits=Limits(quiet=None))
    told = ", ".join(f"{number} x {status}" for status, number in sorted(statuses.items()))
    results.add("malformed requests to every route of every service", verdict, told)
    assert not [status for status in statuses if status == 500]


async def fuzz(http: httpx.AsyncClient, url: str, count: int) -> list[int]:
    """Statuses of requests with odd values in path, query and body; a hang raises."""
    paths = (await http.get(f"{url}/openapi.json")).json()["paths"]
    routes = [(method, path) for path, methods in paths.items() for method in methods if not path.endswith("/events")]
    return [await nonsense_to(http, url, *random.choice(routes)) for _ in range(count)]


async def nonsense_to(http: httpx.AsyncClient, url: str, method: str, path: str) -> int:
    while "{" in path:
        name = path[path.index("{") : path.index("}") + 1]
        path = path.replace(name, random.choice(ODD_NAMES))
    booking = orjson.dumps(odd_booking())
    body = random.choice([b"{", b"\xff\xfe", b"[" * 50_000, b"", booking, booking]) if method != "get" else None
    headers = {"content-type": "application/json"}
    answer = await http.request(method, f"{url}{path}{random.choice(ODD_QUERIES)}", content=body, headers=headers)
    return answer.status_code


def odd_booking() -> Any:
    odd = {name: random.choice(ODD) for name in random.sample(FIELDS, 2)}
    return random.choice([GOOD | odd, odd, [GOOD], "text", 5, {"jobs": [odd] * 3}, {"bookings": [odd]}])


async def babble(port: int) -> None:
    """Bytes that are no HTTP; whether it answers or hangs up, it does one of them."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    lines = (b"GET", b"POST /api/bookings HTTP/1.1\r\nContent-Length: -5\r\n\r\n", random.randbytes(200), b"\r\n" * 50)
    try:
        async with asyncio.timeout(HANG_SECONDS):
            writer.write(random.choice(lines))
            writer.write_eof()
            await reader.read()
    except OSError:
        pass
    finally:
        writer.close()
