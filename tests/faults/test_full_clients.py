"""Clients that send too much, too slowly, or nonsense."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import time
from collections.abc import Iterable, Iterator

import httpx
import psutil

from booking_queue.tasks import end
from local.probe import LOOPBACK
from tests.faults.breaks import pause
from tests.faults.checker import ALL_TAKEN, Limits
from tests.faults.conftest import size
from tests.faults.history import History
from tests.faults.lab import PATIENCE, Trial
from tests.faults.load import BACKENDS, Asked, bookings
from tests.faults.processes import SERVICES, ProcessLab
from tests.faults.reruns import percentile
from tests.faults.results import Results
from tests.services.fuzz import Found, fuzz
from tests.services.raw_http import HARDLY_HTTP
from tests.services.same_keys import race, wrong

SLOW_CLIENTS = 500
RECOVERY_SECONDS = 30
HANG_SECONDS = 10
MOST_OUTSTANDING = 10_000  # a backend
DRAINED_SECONDS = size(200, 1000)  # no promise: after it what was accepted counts as lost
RANDOM = size(4, 50)  # requests an operation, beside those at every bound
SCOPES = ("concurrency", "rate", "outstanding", "paused")
STAY = {"checkIn": "2027-03-01", "checkOut": "2027-03-02"}


def endless(hotel: str) -> Iterator[Asked]:
    for n in itertools.count():
        yield from (Asked(f"{hotel}-{backend}-{n}", hotel, backend) for backend in ("rq", "redisStreams", "kafka"))


def for_a_while(hotel: str, seconds: float) -> Iterator[Asked]:
    until = time.monotonic() + seconds
    return itertools.takewhile(lambda _: time.monotonic() < until, endless(hotel))


async def test_overload(own_lab: ProcessLab, results: Results) -> None:
    """More than it can do, without waiting for answers: it goes on working, refuses what is too much, stays small,
    comes back, and does all that it accepted."""
    lab = own_lab
    lab.suite.detours["MAX_OUTSTANDING"] = str(MOST_OUTSTANDING)
    await asyncio.to_thread(lab.start)
    await lab.started()
    calm = Trial(lab, "peak")
    await calm.run(for_a_while("peak", 8), connections=32, patience=DRAINED_SECONDS)
    peak = goodput(calm.history)
    api = psutil.Process(lab.suite.processes["api_service"].pid)
    memory, seconds, told = api.memory_info().rss, size(15, 300), list[float]()
    over = Trial(lab, "over")

    async def measure(sent: asyncio.Event) -> None:
        began = time.time()
        await sent.wait()
        until, grown, recovered = time.time(), api.memory_info().rss / memory, await answering(lab)
        told.extend([began, until, grown, recovered])
        assert recovered <= RECOVERY_SECONDS

    verdict = await over.run(
        for_a_while("over", seconds),
        measure,
        connections=400,
        per_second=10 * peak,
        patience=DRAINED_SECONDS,
        limits=Limits(quiet=math.inf, accepted=0),
    )
    began, until, grown, recovered = told
    offered, done = len(over.history.attempts) / seconds, goodput(over.history, 1000 * began, 1000 * until)
    notes = (
        f"{offered:.0f} bookings/s offered for {seconds} s: {done:.0f}/s completed meanwhile, {done / peak:.0%} of "
        f"what it completes otherwise; at most {MOST_OUTSTANDING} outstanding a backend; the gateway's memory grew "
        f"to {grown:.1f} times, calm again after {recovered:.1f} s"
    )
    results.add("T9 more than it can do, in an open loop", verdict, notes)


def goodput(history: History, since: float = 0, until: float = math.inf) -> float:
    """Bookings completed a second, in this span of time (ms since 1970) or over all that was done."""
    accepted = [events[0].at for events in history.audits.values()]
    ended = [event.at for events in history.audits.values() for event in events if event.event == "completed"]
    since, until = max(since, min(accepted)), min(until, max(ended))
    return 1000 * sum(since <= at <= until for at in ended) / (until - since)


async def answering(lab: ProcessLab) -> float:
    """Seconds until the gateway accepts a booking within one."""
    began, headers = time.monotonic(), {"content-type": "application/json"}
    async with asyncio.timeout(2 * RECOVERY_SECONDS), httpx.AsyncClient(timeout=RECOVERY_SECONDS) as http:
        while True:
            sent, body = time.monotonic(), next(endless("x")).body
            answer = await http.post(f"{lab.suite.url('api_service')}/api/bookings", content=body, headers=headers)
            if answer.status_code == 202 and time.monotonic() - sent < 1:
                return time.monotonic() - began
            await asyncio.sleep(0.1)


async def test_slow_clients(shared_lab: ProcessLab, results: Results) -> None:
    """Hundreds that send a byte a second keep nobody else from being served."""
    lab = shared_lab
    await lab.started()
    port, count = lab.suite.ports["api_service"], size(60, 300)
    calm = Trial(lab, "calm")
    await calm.run(bookings("calm", count), per_second=30)
    open_ones: set[int] = set()
    crowd = [asyncio.create_task(dawdle(port, n, open_ones)) for n in range(SLOW_CLIENTS)]
    async with asyncio.timeout(HANG_SECONDS):
        while len(open_ones) < SLOW_CLIENTS:
            await asyncio.sleep(0.1)
    crowded = Trial(lab, "crowded")
    fewest: list[int] = []

    async def count_them(sent: asyncio.Event) -> None:
        while await pause(0.2, sent):
            fewest.append(len(open_ones))

    try:
        verdict = await crowded.run(bookings("crowded", count), count_them, limits=ALL_TAKEN, per_second=30)
    finally:
        for client in crowd:
            client.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
    before, during = (percentile([a.seconds for a in trial.history.attempts], 0.99) for trial in (calm, crowded))
    notes = (
        f"the others' answers' p99 {during * 1000:.0f} ms, {before * 1000:.0f} ms without; half of them are slow "
        f"with their bodies; {percentile(fewest, 0.5):.0f} at a time"
    )
    results.add(f"T10 {SLOW_CLIENTS} connections that send a byte a second", verdict, notes)


async def dawdle(port: int, number: int, open_ones: set[int]) -> None:
    """Again and again, since a server hangs up on such a client; each second one is quick with its head."""
    head = b"POST /api/bookings HTTP/1.1\r\nHost: slow\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
    at_once, slowly = (head, itertools.repeat(b"{")) if number % 2 else (b"", (bytes([byte]) for byte in head))
    while True:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        open_ones.add(number)
        sending = asyncio.create_task(drip(writer, at_once, slowly))
        try:
            await reader.read()  # until it hangs up
        except OSError:
            pass
        finally:
            open_ones.discard(number)
            await end(sending)
            writer.close()


async def drip(writer: asyncio.StreamWriter, at_once: bytes, slowly: Iterable[bytes]) -> None:
    writer.write(at_once)
    for byte in slowly:
        writer.write(byte)
        await writer.drain()
        await asyncio.sleep(1)


async def test_malformed_requests(own_lab: ProcessLab, results: Results) -> None:
    """No 500, no hang, and no answer but as documented, whatever is sent; and bookings go on. Some of it is good
    enough to be accepted, for next year or for a consumer group of its own: so it does not end quietly."""
    lab = own_lab
    lab.suite.detours["SIMULATION"] = "off"  # a crash is what some of it would ask for
    await asyncio.to_thread(lab.start)
    await lab.started()
    found: list[Found] = []

    async def nonsense(sent: asyncio.Event) -> None:
        urls = [lab.suite.url(service) for service in SERVICES]
        found.append(await fuzz(urls, lab.suite.folder, "examples,coverage,fuzzing", RANDOM))
        await asyncio.gather(*(babble(lab.suite.ports[service]) for service in SERVICES for _ in range(size(20, 400))))
        await no_limits(lab.suite.url("api_service"))

    verdict = await Trial(lab, "nonsense").run(
        bookings("nonsense", 50), nonsense, limits=Limits(quiet=None, accepted=0)
    )
    requests = sum(found[0].requests.values())
    results.add("T11 malformed requests to every route of every service", verdict, f"{requests} by their documents")
    assert not found[0].wrong, found[0].wrong


async def no_limits(url: str) -> None:
    """Back to what the settings say: some of what was sent was good enough to set one."""
    scopes: dict[str, dict[str, None]] = {backend: dict.fromkeys(SCOPES) for backend in BACKENDS}
    scopes |= {f"type:{kind}": dict.fromkeys(SCOPES[:2]) for kind in ("booking", "noop")}
    async with httpx.AsyncClient(timeout=HANG_SECONDS) as http:
        (await http.put(f"{url}/api/limits", json=scopes)).raise_for_status()


async def babble(port: int) -> None:
    """Bytes that are hardly HTTP, some of them changed; whether it answers or hangs up, it does one of them."""
    raw, _ = random.choice(HARDLY_HTTP)
    at = random.randrange(len(raw))
    raw = random.choice([raw, raw[:at], raw[:at] + random.randbytes(20) + raw[at:], random.randbytes(200)])
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        async with asyncio.timeout(HANG_SECONDS):
            writer.write(raw)
            writer.write_eof()
            assert b" 500 " not in await reader.read()
    except TimeoutError:
        raise AssertionError(f"neither an answer nor an end in {HANG_SECONDS} s to {raw!r}") from None
    except OSError:
        pass
    finally:
        writer.close()


async def test_the_same_keys_again_and_again(shared_lab: ProcessLab, results: Results) -> None:
    """One booking a key, however often it is sent; what was sent with another body is refused."""
    lab, keys = shared_lab, size(50, 1000)
    await lab.started()
    booking = {"userId": "same", "hotelId": "same", **STAY, "backends": ["rq"]}
    async with httpx.AsyncClient(base_url=lab.suite.url("api_service"), timeout=HANG_SECONDS) as http:
        told = await race(http, booking, keys, posts=20)
    observer = lab.observer()
    try:
        made = await observer.records(lambda record: record.data.get("hotelId") == "same")
        quiet = await observer.quiet(time.monotonic(), PATIENCE)
    finally:
        await observer.close()
    refused = sum(each.status == 422 for each in told)
    results.note(
        "T14 the same keys",
        f"{keys} idempotency keys, each sent 20 times: {len(made)} bookings, {refused} refused (422).",
    )
    assert wrong(told) == [] and len(made) == keys
    assert not quiet.left and not quiet.ownerless
