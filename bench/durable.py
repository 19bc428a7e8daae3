"""`python -m bench.durable`: what durability costs, in containers: the suite by default, with appendfsync always, and
with deploy/durable.yml, by turns. How fast bookings for three backends are accepted, and accepted and completed."""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from redis.asyncio import Redis

from bench.accept import load
from booking_queue.domain.job import Backend
from local.probe import free_port
from tests.system.suites import ComposeSuite

LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 180


@dataclass(frozen=True)
class Cost:
    accepted: float  # bookings/s, while they come
    p50: float
    p99: float
    completed: float  # bookings/s, from the first that came to the last that ended


def variants() -> dict[str, ComposeSuite]:
    env = {"SIMULATED_TIME_SCALE": "0", "LOG_LEVEL": "WARNING", "INVENTORY_DEFAULT_ROOMS": "1000000"}
    ports = {name: str(free_port()) for name in ("KAFKA_2_PORT", "KAFKA_3_PORT")}
    return {
        "default": ComposeSuite(**env),
        "appendfsync always": ComposeSuite(**env, REDIS_APPENDFSYNC="always"),
        "durable": ComposeSuite("durable.yml", **env, **ports),
    }


async def cost(suite: ComposeSuite, seconds: float, connections: int) -> Cost:
    redis: Any = Redis.from_url(suite.redis_url())
    before = int(await redis.hget("bq:counters", "bookings.confirmed") or 0)
    begun = time.perf_counter()
    found = await load("127.0.0.1", suite.ports["api"], connections=connections, seconds=seconds)
    await drained(redis)
    took = time.perf_counter() - begun
    every = int(await redis.hget("bq:counters", "bookings.confirmed") or 0) - before
    await redis.aclose()
    if set(found.statuses) != {202}:
        raise SystemExit(f"not all were accepted: {found.statuses}")
    return Cost(found.accepted_per_second, found.percentile(0.5), found.percentile(0.99), every / took)


async def drained(redis: Any) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if not sum([await redis.zcard(f"bq:open:{backend}") for backend in Backend]):
                return
            await asyncio.sleep(LOOK_SECONDS)


def measured(suites: dict[str, ComposeSuite], asked: argparse.Namespace) -> dict[str, list[Cost]]:
    """All stand beside one another and are asked by turns, so that what else the machine does meets each alike."""
    found: dict[str, list[Cost]] = {name: [] for name in suites}
    for suite in suites.values():
        suite.up(workers=asked.workers)
        asyncio.run(cost(suite, 1, asked.connections))  # the first bookings pay for what is done once
    for _ in range(asked.runs):
        for name, suite in suites.items():
            found[name].append(asyncio.run(cost(suite, asked.seconds, asked.connections)))
            print(name, found[name][-1], flush=True)
    return found


def spread(values: list[float]) -> str:
    return f"{median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.durable", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each variant, by turns (default 5)")
    parser.add_argument("--seconds", type=float, default=5, help="seconds a run of accepting (default 5)")
    parser.add_argument("--connections", type=int, default=32, help="HTTP connections (default 32)")
    parser.add_argument("--workers", type=int, default=2, help="workers (default 2)")
    asked = parser.parse_args()
    suites = variants()
    try:
        found = measured(suites, asked)
    finally:
        for suite in suites.values():
            suite.close()
    print("| | accepted, bookings/s | p50, ms | p99, ms | accepted and completed, bookings/s |\n|---|---|---|---|---|")
    for name, costs in found.items():
        p50, p99 = ([1000 * value for value in values] for values in zip(*((c.p50, c.p99) for c in costs), strict=True))
        rates = spread([each.accepted for each in costs]), spread([each.completed for each in costs])
        print(f"| {name} | {rates[0]} | {spread(p50)} | {spread(p99)} | {rates[1]} |")


if __name__ == "__main__":
    main()
