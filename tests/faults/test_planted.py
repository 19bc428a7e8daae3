"""The checker must catch bugs that are planted on purpose, or its silence would mean nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from tests.faults.breaks import busy, freeze_worker
from tests.faults.checker import Verdict
from tests.faults.conftest import FULL, new_lab
from tests.faults.lab import UNBOUNDED, Say, Trial
from tests.faults.load import Asked, bookings
from tests.faults.observe import LOOK_SECONDS, Observer
from tests.faults.planted import BUGS
from tests.faults.processes import ProcessLab
from tests.faults.proxy import Mistreatment, Proxy
from tests.faults.results import Caught, Results

RQ, STREAMS, KAFKA = "rq", "redisStreams", "kafka"
LOST_SECONDS = 40  # after it what is not done will not be: leases have ended, and nothing is sent anew before 60 s
COMMITTED_SECONDS = 1.5


def noted(results: Results, bug: str, check: str, verdict: Verdict) -> None:
    assert bug in BUGS
    assert check in verdict.wrong, f"{bug} went by unseen: {verdict}"
    results.caught.append(Caught(bug, tuple(verdict.wrong), verdict.wrong[check][0]))


@pytest.fixture(scope="module")
def lab(say: Say) -> Iterator[ProcessLab]:
    """Without Kafka, unless something of it is planted: that takes half of the time to start."""
    with new_lab(say, kafka=bool(FULL)) as lab:
        lab.start(workers=0)
        yield lab


def failing_once(hotel: str, count: int) -> Iterator[Asked]:
    for n in range(count):
        yield Asked(f"{hotel}-{n}", hotel, STREAMS, more={"simulate": {"failAt": "payment"}})


@asynccontextmanager
async def looking(lab: ProcessLab) -> AsyncIterator[Observer]:
    observer = lab.observer()
    try:
        yield observer
    finally:
        await observer.close()


async def all_ended(observer: Observer, user: str, count: int) -> None:
    """Until so many bookings of users whose names begin like this have ended."""
    async with asyncio.timeout(60):
        while True:
            records = await observer.records(lambda record: record.data.get("userId", "").startswith(user))
            if sum(leg.state.terminal for record in records for leg in record.legs.values()) >= count:
                return
            await asyncio.sleep(0.2)


async def test_bury_on_first_failure(lab: ProcessLab, results: Results) -> None:
    await lab.plant("worker", "bury on first failure", workers=1)
    verdict = await Trial(lab, "buried").run(failing_once("buried", 20), limits=UNBOUNDED)
    noted(results, "bury on first failure", "unexpectedly dead", verdict)


async def test_new_keys(lab: ProcessLab, results: Results) -> None:
    """The provider takes the money and its answer is lost."""
    await lab.plant("worker", "a new key at each attempt", workers=1)
    httpx.put(f"{lab.suite.url('providers')}/faults", json={"payment": {"loseNext": 5}}, timeout=10)
    verdict = await Trial(lab, "unheard").run(bookings("unheard", 20, [STREAMS]), limits=UNBOUNDED)
    noted(results, "a new key at each attempt", "doubled", verdict)


async def test_maxlen(lab: ProcessLab, results: Results) -> None:
    await lab.plant("stream_service", "MAXLEN 100", workers=0)

    async def start_late(sent: asyncio.Event) -> None:
        await sent.wait()
        lab.start_worker()
        await lab.started()
        lab.fault()

    trial = Trial(lab, "cut")
    verdict = await trial.run(bookings("cut", 150, [STREAMS]), start_late, limits=UNBOUNDED, patience=5)
    noted(results, "MAXLEN 100", "lost", verdict)


if FULL:

    async def test_ack_before_processing(lab: ProcessLab, results: Results) -> None:
        await lab.plant("worker", "ack before processing", workers=2)
        asked = bookings("acked", 60, [STREAMS], slow_share=1, slow_ms=500)

        async def kill(sent: asyncio.Event) -> None:
            async with looking(lab) as observer:
                lab.kill_worker(await busy(observer, lab.workers, [STREAMS], 10))

        verdict = await Trial(lab, "acked").run(asked, kill, limits=UNBOUNDED, patience=LOST_SECONDS)
        noted(results, "ack before processing", "lost", verdict)

    @pytest.mark.parametrize("bug", ["auto-commit", "commit of the highest offset"])
    async def test_offsets(lab: ProcessLab, results: Results, bug: str) -> None:
        """A worker dies with slow jobs in hand, when quick ones behind them in their partitions are done."""
        await lab.plant("worker", bug, workers=2)
        name = bug.replace(" ", "-").lower()
        slow = bookings(f"{name}", 40, [KAFKA], slow_share=1, slow_ms=4000)
        quick = (replace(one, user=f"quick-{one.user}") for one in bookings(name, 100, [KAFKA]))

        async def kill(sent: asyncio.Event) -> None:
            async with looking(lab) as observer:
                for worker in lab.workers:
                    await busy(observer, [worker], [KAFKA], 5)
                await sent.wait()
                await all_ended(observer, "quick-", 100)
                await asyncio.sleep(COMMITTED_SECONDS)
            lab.kill_worker(lab.workers[0])

        verdict = await Trial(lab, name).run([*slow, *quick], kill, limits=UNBOUNDED, patience=LOST_SECONDS)
        noted(results, bug, "lost", verdict)

    @pytest.mark.parametrize(
        ("bug", "backend", "check"), [("no fencing", KAFKA, "doubled"), ("unguarded XCLAIM", STREAMS, "stolen back")]
    )
    async def test_leases(lab: ProcessLab, results: Results, bug: str, backend: str, check: str) -> None:
        """A worker freezes and wakes up when all it held is another's, and at work there."""
        await lab.plant("worker", bug, workers=2)
        name = bug.replace(" ", "-").lower()
        asked = bookings(name, 30, [backend], slow_share=1, slow_ms=3000)

        async def freeze(sent: asyncio.Event) -> None:
            async with looking(lab) as observer:
                await freeze_worker(lab, observer, [backend], 5)

        verdict = await Trial(lab, name).run(asked, freeze, limits=UNBOUNDED)
        noted(results, bug, check, verdict)

    @pytest.mark.parametrize(
        ("bug", "service", "backend"),
        [
            ("client retry on XADD", "stream_service", STREAMS),
            ("client retry on RPUSH", "queue_service", RQ),
        ],
    )
    async def test_client_retry(lab: ProcessLab, results: Results, bug: str, service: str, backend: str) -> None:
        async with Proxy(lab.suite.redis.port) as proxy:
            lab.suite.detours["REDIS_PORT"] = str(proxy.port)
            await lab.plant(service, bug, workers=0)
            lab.suite.detours.clear()
            proxy.treat(Mistreatment(lost_answers=0.15))  # of more, the circuit opens
            trial = Trial(lab, f"twice-{backend}")

            async def start_late(sent: asyncio.Event) -> None:
                await sent.wait()
                await asyncio.sleep(2 * LOOK_SECONDS)
                lab.start_worker()
                await lab.started()
                lab.fault()

            asked = bookings(trial.name, 100, [backend])
            verdict = await trial.run(asked, start_late, limits=UNBOUNDED, patience=20, connections=1)  # no batches
        noted(results, bug, "published twice", verdict)
