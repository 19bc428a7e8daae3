"""Containers whose network is gone for a while: nothing passes, and no one is told."""

from __future__ import annotations

import asyncio

from tests.faults.breaks import busy, pause, taken_over
from tests.faults.checker import Limits
from tests.faults.conftest import size
from tests.faults.containers import Containers
from tests.faults.lab import Lab, Trial
from tests.faults.load import BACKENDS, bookings
from tests.faults.results import Results

NO_RERUNS = Limits(rerun_max=None, rerun_p99=None)
AWAY_SECONDS = size(12, 30)


def containers(lab: Lab) -> Containers:
    assert isinstance(lab.suite, Containers)
    return lab.suite


async def test_a_worker_cut_off_past_its_lease(shared_lab: Lab, results: Results) -> None:
    """It goes on working at what others have begun anew, and changes nothing when it is heard again."""
    lab, suite, held = shared_lab, containers(shared_lab), list[int]()
    observer = lab.observer()
    await lab.started()

    async def cut_off(sent: asyncio.Event) -> None:
        worker = await busy(observer, lab.workers, BACKENDS, 1)
        await asyncio.to_thread(suite.cut_off, worker)
        lab.fault()
        held.append(await taken_over(observer, worker))
        await asyncio.to_thread(suite.join, worker)
        lab.fault()

    asked = bookings("alone", size(40, 200), slow_share=1, slow_ms=700)
    try:
        verdict = await Trial(lab, "alone").run(asked, cut_off, limits=NO_RERUNS, per_second=40)
    finally:
        await observer.close()
    results.add("T4 a worker without network past its lease", verdict, f"{held[0]} jobs in its hands")


async def test_brokers_cut_off(shared_lab: Lab, results: Results) -> None:
    lab, suite = shared_lab, containers(shared_lab)
    await lab.started()

    async def cut_off(sent: asyncio.Event) -> None:
        await pause(1, sent)
        for broker in (suite.redis, suite.kafka):
            await asyncio.to_thread(broker.cut_off)
        lab.fault()
        await asyncio.sleep(AWAY_SECONDS)
        for broker in (suite.redis, suite.kafka):
            await asyncio.to_thread(broker.join)
        lab.fault()

    asked, limits = bookings("hole", size(60, 3000)), Limits(accepted=0.1)
    verdict = await Trial(lab, "hole").run(asked, cut_off, limits=limits, per_second=30)
    results.add("T4 brokers without network for a while", verdict, f"for {AWAY_SECONDS} s")
