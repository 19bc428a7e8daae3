"""Connections that lose answers, reset, swallow and dawdle, between everybody and both brokers."""

from __future__ import annotations

import asyncio
import time

from tests.faults.breaks import pause
from tests.faults.conftest import size
from tests.faults.lab import Lab, Trial
from tests.faults.load import bookings
from tests.faults.proxy import WELL, Mistreatment, Proxy
from tests.faults.results import Results

HOLE_SECONDS = size(12, 30)
TREATMENTS = {
    "lost": Mistreatment(lost_answers=0.01),
    "reset": Mistreatment(resets=0.01),
    "slow": Mistreatment(slow_ms=20),
    "hole": Mistreatment(hole=True),
}
TOLD = {
    "lost": "1 % of the brokers' answers lost after they took effect",
    "reset": "1 % of the requests to the brokers reset",
    "slow": "brokers 20 ms slower each way",
    "hole": f"brokers swallow everything for {HOLE_SECONDS} s",
}


async def test_bad_connections(own_lab: Lab, results: Results) -> None:
    lab = own_lab
    async with Proxy(lab.suite.redis.port) as redis, Proxy(lab.suite.kafka.port) as kafka:
        lab.suite.advertise_kafka_at(kafka.port)
        lab.suite.detours |= {"REDIS_PORT": str(redis.port), "KAFKA_BROKER": f"127.0.0.1:{kafka.port}"}
        await asyncio.to_thread(lab.start)
        await lab.started()
        for name, treatment in TREATMENTS.items():
            await mistreated(lab, results, name, treatment, [redis, kafka])


async def mistreated(lab: Lab, results: Results, name: str, treatment: Mistreatment, proxies: list[Proxy]) -> None:
    harmed = sum(proxy.harmed for proxy in proxies)

    async def mistreat(sent: asyncio.Event) -> None:
        await pause(1, sent)
        for proxy in proxies:
            proxy.treat(treatment)
        if treatment.hole:
            await asyncio.sleep(HOLE_SECONDS)
        else:
            await sent.wait()
        for proxy in proxies:
            proxy.treat(WELL)
        lab.fault()

    count, began = size(60, 3000), time.monotonic()
    verdict = await Trial(lab, name).run(bookings(name, count), mistreat, per_second=30)
    harmed = sum(proxy.harmed for proxy in proxies) - harmed
    notes = f"{harmed} times" if harmed else f"in all {time.monotonic() - began:.0f} s"
    results.add(TOLD[name], verdict, notes)
