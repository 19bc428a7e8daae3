"""Connections that lose answers, reset, swallow and dawdle, between everybody and both brokers."""

from __future__ import annotations

import asyncio

from tests.faults.breaks import pause
from tests.faults.checker import Limits
from tests.faults.conftest import FULL, size
from tests.faults.lab import Trial
from tests.faults.load import bookings
from tests.faults.processes import ProcessLab
from tests.faults.proxy import WELL, Mistreatment, Proxy
from tests.faults.results import Results

HOLE_SECONDS = size(12, 30)
PER_SECOND = 60 if FULL else 30
TREATMENTS = {
    "lost": Mistreatment(lost_answers=0.01),
    "reset": Mistreatment(resets=0.01),
    "slow": Mistreatment(slow_ms=20),
    "hole": Mistreatment(hole=True),
}
TOLD = {
    "lost": "T4 1 % of the brokers' answers lost after they took effect",
    "reset": "T4 1 % of the requests to the brokers reset",
    "slow": "T4 brokers 20 ms slower each way",
    "hole": "T4 brokers swallow everything for a while",
}


async def test_bad_connections(own_lab: ProcessLab, results: Results) -> None:
    lab = own_lab
    async with Proxy(lab.suite.redis.port) as redis, Proxy(lab.suite.kafka.port) as kafka:
        lab.suite.advertise_kafka_at(kafka.port)
        lab.suite.detours |= {"REDIS_PORT": str(redis.port), "KAFKA_BROKER": f"127.0.0.1:{kafka.port}"}
        await asyncio.to_thread(lab.start)
        await lab.started()
        for name, treatment in TREATMENTS.items():
            await mistreated(lab, results, name, treatment, [redis, kafka])


async def mistreated(
    lab: ProcessLab, results: Results, name: str, treatment: Mistreatment, proxies: list[Proxy]
) -> None:
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

    asked, limits = bookings(name, size(60, 3000)), Limits(accepted=0.1) if treatment.hole else None
    verdict = await Trial(lab, name).run(asked, mistreat, limits=limits, per_second=PER_SECOND)
    harmed = sum(proxy.harmed for proxy in proxies) - harmed
    results.add(TOLD[name], verdict, f"for {HOLE_SECONDS} s" if treatment.hole else f"{harmed} times")
    assert harmed, "nobody was mistreated"
