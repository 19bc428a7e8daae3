"""Workers that come and go, live in another hour, and run for long."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.brokers import missing
from tests.faults.breaks import kill_workers, pause
from tests.faults.checker import ALL_TAKEN
from tests.faults.conftest import size
from tests.faults.history import History
from tests.faults.lab import Trial
from tests.faults.load import BACKENDS, Asked, bookings
from tests.faults.processes import ProcessLab
from tests.faults.results import Results

DELAY_SECONDS = 5
KEYS = 20
GROWING = ("api_service", "queue_service", "stream_service", "kafka_service")
MEMORY_GROWTH = 1.2  # of the last quarter over the second: the first fills caches


async def test_workers_join_and_leave(shared_lab: ProcessLab, results: Results) -> None:
    lab, count = shared_lab, size(150, 10_000)
    await lab.started()

    async def come_and_go(sent: asyncio.Event) -> None:
        while await pause(5, sent):
            new = lab.start_worker()
            await lab.started(new)
            if not await pause(5, sent):
                break
            assert await lab.stop_worker(lab.workers[0]) == 0

    trial = Trial(lab, "joined")
    verdict = await trial.run(ordered("joined", count), come_and_go, limits=ALL_TAKEN, per_second=60)
    results.add("T13 a worker joins or leaves every 5 s, with ordering keys", verdict)
    assert sum(map(len, trial.history.versions.values())) == sum(lane.acked for lane in verdict.lanes.values())


def ordered(hotel: str, count: int) -> Iterator[Asked]:
    """Each key's next comes long after the one before it was accepted: only then is there an order to keep."""
    for n, backend in itertools.product(range(count), BACKENDS):
        yield Asked(f"{hotel}-{backend}-{n}", hotel, backend, more={"orderingKey": f"{hotel}-{n % KEYS}"})


async def test_clocks_an_hour_off(shared_lab: ProcessLab, results: Results) -> None:
    """Workers an hour behind and an hour ahead: nothing twice, and no delayed job early."""
    lab, library = shared_lab, faketime()
    old = list(lab.workers)
    for offset in ("-1h", "+1h"):
        fake = {"LD_PRELOAD": library, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        await lab.started(lab.start_worker(**fake))
    for name in old:
        await lab.stop_worker(name)
    count = size(60, 1000)
    delayed = (
        Asked(f"clock-late-{backend}-{n}", "clock", backend, more={"delaySeconds": DELAY_SECONDS})
        for n, backend in itertools.product(range(count // 3), BACKENDS)
    )
    trial = Trial(lab, "clock")
    asked = [*delayed, *bookings("clock", count)]
    try:
        verdict = await trial.run(asked, lambda sent: kill_one(lab, library, sent), limits=ALL_TAKEN, per_second=30)
    finally:
        for name in list(lab.workers):
            await lab.stop_worker(name)
        for _ in old:
            lab.start_worker()
    results.add("T6 clocks of workers an hour behind and ahead, and a kill -9", verdict)
    assert not early(trial.history), "delayed jobs began too early"


async def kill_one(lab: ProcessLab, library: str, sent: asyncio.Event) -> None:
    await pause(3, sent)
    lab.kill_worker()
    lab.start_worker(LD_PRELOAD=library, FAKETIME="+1h", FAKETIME_DONT_FAKE_MONOTONIC="1")


def early(history: History) -> list[str]:
    late = {attempt.booking for attempt in history.attempts if "-late-" in attempt.user}
    found = []
    for booking in late & set(history.audits):
        moments = {event.event: event.at for event in reversed(history.audits[booking])}
        if moments["started"] - moments["accepted"] < DELAY_SECONDS * 1000:
            found.append(booking)
    return found


def faketime() -> str:
    found = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if not found:
        missing("libfaketime (apt-get install libfaketime)")
    return str(found)


async def test_many_minutes_of_load(own_lab: ProcessLab, results: Results) -> None:
    """One kill a minute; memory has no slope."""
    lab = own_lab
    await asyncio.to_thread(lab.start, 3)
    await lab.started()
    seconds = size(120, 20 * 60)
    samples: list[int] = []

    async def live(sent: asyncio.Event) -> None:
        killing = asyncio.create_task(kill_workers(lab, 60, sent))
        while await pause(2, sent):
            services = [lab.suite.processes[name] for name in GROWING]
            samples.append(sum(psutil.Process(process.pid).memory_info().rss for process in services))
        await killing

    began = time.monotonic()
    verdict = await Trial(lab, "long").run(bookings("long", seconds * 5), live, limits=ALL_TAKEN, per_second=15)
    quarter = len(samples) // 4
    growth = sum(samples[-quarter:]) / sum(samples[quarter : 2 * quarter])
    minutes = (time.monotonic() - began) / 60
    notes = f"{minutes:.0f} min; the services' memory in the last quarter {growth:.2f} of that in the second"
    results.add("T18 15 bookings/s and one kill -9 a minute, for long", verdict, notes)
    assert growth <= MEMORY_GROWTH
