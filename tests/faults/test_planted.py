"""The checker must catch bugs that are planted on purpose, or its silence would mean nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.faults.breaks import jobs_of, pause
from tests.faults.checker import Verdict
from tests.faults.conftest import FULL, new_lab
from tests.faults.lab import UNBOUNDED, Lab, Say, Trial
from tests.faults.load import Asked, bookings
from tests.faults.planted import BUGS
from tests.faults.proxy import Mistreatment, Proxy
from tests.faults.results import Caught, Results

STREAMS, KAFKA = "redisStreams", "kafka"
LEASE_SECONDS = 15


def noted(results: Results, bug: str, check: str, verdict: Verdict) -> None:
    assert bug in BUGS
    assert check in verdict.wrong, f"{bug} went by unseen: {verdict}"
    results.caught.append(Caught(bug, tuple(verdict.wrong), verdict.wrong[check][0]))


@pytest.fixture(scope="module")
def lab(say: Say) -> Iterator[Lab]:
    """Without Kafka, unless something of it is planted: that takes half of the time to start."""
    with new_lab(say, kafka=bool(FULL)) as lab:
        lab.start(workers=0)
        yield lab


def failing_once(hotel: str, count: int) -> Iterator[Asked]:
    for n in range(count):
        yield Asked(f"{hotel}-{n}", hotel, STREAMS, more={"simulate": {"failAt": "payment"}})


async def busy(lab: Lab, worker: str, backend: str, jobs: int) -> None:
    """Until this worker has so many jobs of this backend in hand."""
    observer = lab.observer()
    try:
        async with asyncio.timeout(30):
            while (await jobs_of(observer, worker))[backend] < jobs:
                await asyncio.sleep(0.05)
    finally:
        await observer.close()


async def test_bury_on_first_failure(lab: Lab, results: Results) -> None:
    await lab.plant("worker", "bury on first failure", workers=1)
    verdict = await Trial(lab, "buried").run(failing_once("buried", 20), limits=UNBOUNDED)
    noted(results, "bury on first failure", "unexpectedly dead", verdict)


async def test_maxlen(lab: Lab, results: Results) -> None:
    await lab.plant("stream_service", "MAXLEN 100", workers=0)

    async def start_late(sent: asyncio.Event) -> None:
        await sent.wait()
        lab.start_worker()
        await lab.started()
        lab.fault()

    trial = Trial(lab, "cut")
    verdict = await trial.run(bookings("cut", 150, [STREAMS]), start_late, limits=UNBOUNDED, patience=8)
    noted(results, "MAXLEN 100", "lost", verdict)


if FULL:

    async def test_ack_before_processing(lab: Lab, results: Results) -> None:
        await lab.plant("worker", "ack before processing", workers=2)
        asked = bookings("acked", 60, [STREAMS], slow_share=1, slow_ms=500)

        async def kill(sent: asyncio.Event) -> None:
            await busy(lab, lab.workers[0], STREAMS, 10)
            lab.kill_worker(lab.workers[0])

        verdict = await Trial(lab, "acked").run(asked, kill, limits=UNBOUNDED, patience=35)
        noted(results, "ack before processing", "lost", verdict)

    @pytest.mark.parametrize("bug", ["auto-commit", "commit of the highest offset"])
    async def test_offsets(lab: Lab, results: Results, bug: str) -> None:
        await lab.plant("worker", bug, workers=2)
        name = bug.replace(" ", "-").lower()
        asked = bookings(name, 300, [KAFKA], slow_share=0.3, slow_ms=700)

        async def kill(sent: asyncio.Event) -> None:
            for worker in lab.workers:  # once both have partitions, and had the time to commit
                await busy(lab, worker, KAFKA, 5)
            await pause(1.5, sent)
            await busy(lab, lab.workers[0], KAFKA, 5)
            lab.kill_worker(lab.workers[0])

        trial = Trial(lab, name)
        verdict = await trial.run(asked, kill, limits=UNBOUNDED, patience=40, per_second=20)
        noted(results, bug, "lost", verdict)

    @pytest.mark.parametrize(("bug", "check"), [("no fencing", "doubled"), ("unguarded XCLAIM", "stolen back")])
    async def test_leases(lab: Lab, results: Results, bug: str, check: str) -> None:
        await lab.plant("worker", bug, workers=2)
        name = bug.replace(" ", "-").lower()
        asked = bookings(name, 30, [STREAMS], slow_share=1, slow_ms=2000)

        async def freeze(sent: asyncio.Event) -> None:
            await busy(lab, lab.workers[0], STREAMS, 5)
            lab.freeze_worker(lab.workers[0])
            await asyncio.sleep(LEASE_SECONDS + 3)
            lab.thaw_worker(lab.workers[0])

        verdict = await Trial(lab, name).run(asked, freeze, limits=UNBOUNDED, patience=40)
        noted(results, bug, check, verdict)

    async def test_client_retry_on_xadd(lab: Lab, results: Results) -> None:
        bug = "client retry on XADD"
        async with Proxy(lab.suite.redis.port) as proxy:
            lab.suite.detours["REDIS_PORT"] = str(proxy.port)
            await lab.plant("stream_service", bug, workers=0)
            lab.suite.detours.clear()
            lab.start_worker()
            await lab.started()
            proxy.treat(Mistreatment(lost_answers=0.2))
            verdict = await Trial(lab, "twice").run(bookings("twice", 100, [STREAMS]), limits=UNBOUNDED, patience=20)
        noted(results, bug, "published twice", verdict)
