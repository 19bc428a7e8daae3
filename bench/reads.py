"""What looking costs: GET /stats of each backend service and GET /dashboard, with few and with many jobs waiting.

`python -m bench.reads` starts a suite of its own without a worker, sends jobs to every lane, and prints the figures
side by side. Nothing is written.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from bench.drain import send, settings_of
from booking_queue.domain.job import Backend
from booking_queue.ledger.connection import connect
from local.private_suite import PrivateSuite

SETTLE_SECONDS = 3.0  # the board has seen all of it then
READS = {
    "queue GET /stats": ("queue_service", "/stats"),
    "stream GET /stats": ("stream_service", "/stats"),
    "kafka-service GET /stats": ("kafka_service", "/stats"),
    "monitoring GET /dashboard": ("monitoring_service", "/dashboard"),
    "monitoring GET /history": ("monitoring_service", "/history"),
    "monitoring GET /queue/rq": ("monitoring_service", "/queue/rq"),
}

Times = Mapping[str, Sequence[float]]


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.reads", description=__doc__)
    parser.add_argument("--few", type=int, default=1_000, help="jobs waiting on each lane at first (default 1000)")
    parser.add_argument("--many", type=int, default=100_000, help="jobs waiting on each lane then (default 100000)")
    parser.add_argument("--reads", type=int, default=200, help="reads of each kind (default 200)")
    return parser.parse_args(argv)


def say(text: str) -> None:
    print(text, flush=True)


async def fill(suite: PrivateSuite, jobs: int) -> None:
    settings = settings_of(suite)
    redis = connect(settings)
    try:
        await redis.config_set("maxmemory", "0")  # what three lanes keep of so many jobs is more than a demo is given
        for backend in Backend:
            started = time.perf_counter()
            await send(settings, redis, backend, jobs)
            say(f"  {jobs} more wait on {backend} ({time.perf_counter() - started:.0f} s)")
    finally:
        await redis.aclose()
    await asyncio.sleep(SETTLE_SECONDS)


async def read(suite: PrivateSuite, reads: int) -> Times:
    """Seconds each. One at a time and in turn, so that a slow moment of the machine hits all of them."""
    found: dict[str, list[float]] = {name: [] for name in READS}
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        for _ in range(reads):
            for name, (service, path) in READS.items():
                started = time.perf_counter()
                (await http.get(suite.url(service) + path)).raise_for_status()
                found[name].append(time.perf_counter() - started)
    return found


def percentile(times: Sequence[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(share * len(times)))]


def table(few: Times, many: Times, asked: argparse.Namespace) -> str:
    lines = [
        f"| ms, {asked.reads} reads | p50 at {asked.few} | p50 at {asked.many} | p99 at {asked.few} "
        f"| p99 at {asked.many} | p50 ratio |",
        "|---|---|---|---|---|---|",
    ]
    for name in READS:
        middle = [statistics.median(times[name]) * 1000 for times in (few, many)]
        late = [percentile(times[name], 0.99) * 1000 for times in (few, many)]
        lines.append(
            f"| {name} | {middle[0]:.2f} | {middle[1]:.2f} | {late[0]:.1f} | {late[1]:.1f} "
            f"| {middle[1] / middle[0]:.2f} |"
        )
    return "\n".join(lines)


async def measure(suite: PrivateSuite, asked: argparse.Namespace) -> str:
    await fill(suite, asked.few)
    await read(suite, 20)  # connections and caches are warm
    few = await read(suite, asked.reads)
    await fill(suite, asked.many - asked.few)
    many = await read(suite, asked.reads)
    return table(few, many, asked)


def main() -> None:
    asked = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="booking-queue-bench-"))
    suite = PrivateSuite(folder, LOG_LEVEL="WARNING")
    say("starting Redis, Kafka and the services on free ports")
    try:
        suite.start()
        say(asyncio.run(measure(suite, asked)))
    finally:
        suite.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
