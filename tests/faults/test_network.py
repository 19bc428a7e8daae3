"""Connections that lose answers, reset, swallow and dawdle, between everybody and both brokers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
import pytest_asyncio

from booking_queue.domain.job import State
from tests.faults.breaks import busy, pause
from tests.faults.checker import Limits
from tests.faults.conftest import FULL, new_lab, size
from tests.faults.history import Expected
from tests.faults.lab import Say, Trial
from tests.faults.letters import Sexton
from tests.faults.load import BACKENDS, bookings, hopeless
from tests.faults.observe import Observer
from tests.faults.processes import ProcessLab
from tests.faults.proxy import WELL, Mistreatment, Proxy
from tests.faults.results import Results

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOLE_SECONDS = size(12, 30)
REDRIVEN_SECONDS = size(60, 300)
PER_SECOND = 60 if FULL else 30
TREATMENTS = {
    "lost": Mistreatment(lost_answers=0.01),
    "reset": Mistreatment(resets=0.01),
    "slow": Mistreatment(slow_ms=20),
    "hole": Mistreatment(hole=True),
}
LOSING = Mistreatment(lost_answers=0.03)
TOLD = {
    "lost": "T4 1 % of the brokers' answers lost after they took effect",
    "reset": "T4 1 % of the requests to the brokers reset",
    "slow": "T4 brokers 20 ms slower each way",
    "hole": "T4 brokers swallow everything for a while",
}


class Behind:
    """A lab whose every connection to a broker goes through a proxy."""

    def __init__(self, lab: ProcessLab, proxies: Sequence[Proxy]):
        self.lab = lab
        self._proxies = proxies

    @property
    def harmed(self) -> int:
        return sum(proxy.harmed for proxy in self._proxies)

    def treat(self, treatment: Mistreatment) -> None:
        for proxy in self._proxies:
            proxy.treat(treatment)
        self.lab.fault()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def behind(say: Say) -> AsyncIterator[Behind]:
    with new_lab(say) as lab:
        async with Proxy(lab.suite.redis.port) as redis, Proxy(lab.suite.kafka.port) as kafka:
            lab.suite.advertise_kafka_at(kafka.port)
            lab.suite.detours |= {"REDIS_PORT": str(redis.port), "KAFKA_BROKER": f"127.0.0.1:{kafka.port}"}
            await asyncio.to_thread(lab.start)
            yield Behind(lab, [redis, kafka])


@pytest.mark.parametrize("name", TREATMENTS)
async def test_bad_connections(behind: Behind, results: Results, name: str) -> None:
    lab, treatment, harmed = behind.lab, TREATMENTS[name], behind.harmed
    await lab.started()

    async def mistreat(sent: asyncio.Event) -> None:
        await pause(1, sent)
        behind.treat(treatment)
        if treatment.hole:
            await asyncio.sleep(HOLE_SECONDS)
        else:
            await sent.wait()
        behind.treat(WELL)

    asked, limits = bookings(name, size(60, 3000)), Limits(accepted=0.1) if treatment.hole else None
    verdict = await Trial(lab, name).run(asked, mistreat, limits=limits, per_second=PER_SECOND)
    harmed = behind.harmed - harmed
    results.add(TOLD[name], verdict, f"for {HOLE_SECONDS} s" if treatment.hole else f"{harmed} times")
    assert harmed, "nobody was mistreated"


async def test_dead_letters_run_again(behind: Behind, results: Results) -> None:
    """Whichever way, while workers are killed with them in hand and brokers' answers are lost: each is done once."""
    lab, count, harmed = behind.lab, size(8, 200), behind.harmed
    await lab.started()
    lab.start_worker()
    url, slow = lab.suite.url("api_service"), {"mail": {"delayMs": 500}}
    sextons, observer = [Sexton(url, "raised") for _ in range(2)], lab.observer()

    async def kill(times: int) -> None:
        for backend in itertools.islice(itertools.cycle(BACKENDS), times):
            lab.kill_worker(await busy(observer, lab.workers, [backend], 1))
            lab.start_worker()
            await asyncio.sleep(0.5)

    async def redrive(sent: asyncio.Event) -> None:
        await sent.wait()
        await all_dead(observer, "raised")
        httpx.put(f"{lab.suite.url('providers')}/faults", json=slow, timeout=10).raise_for_status()
        behind.treat(LOSING)
        async with asyncio.timeout(REDRIVEN_SECONDS):
            await asyncio.gather(kill(size(3, 12)), *(sexton.dig() for sexton in sextons))
        behind.treat(WELL)
        httpx.delete(f"{lab.suite.url('providers')}/faults", timeout=10).raise_for_status()

    trial = Trial(lab, "raised")
    try:
        verdict = await trial.run(hopeless("raised", count, Expected.ENDED), redrive, per_second=PER_SECOND)
    finally:
        await observer.close()
    notes = f"{3 * count} letters, {len(lab.stopped)} kills, {behind.harmed - harmed} answers lost"
    results.add("T8 dead letters redriven while workers are killed and brokers' answers are lost", verdict, notes)
    assert {end.booking for end in trial.history.ends if end.confirmed} == {a.booking for a in trial.history.attempts}


async def all_dead(observer: Observer, hotel: str) -> None:
    async with asyncio.timeout(60):
        while True:
            records = await observer.records(lambda record: record.data.get("hotelId") == hotel)
            if all(leg.state is State.DEAD for record in records for leg in record.legs.values()):
                return
            await asyncio.sleep(0.2)
