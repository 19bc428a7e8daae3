"""Workers that die, freeze and leave while bookings run."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.faults.breaks import freeze_worker, kill_workers, restart_workers
from tests.faults.checker import ALL_TAKEN
from tests.faults.conftest import FULL, size
from tests.faults.lab import Lab, Trial
from tests.faults.load import BACKENDS, bookings
from tests.faults.results import Results

WORKERS = 5 if FULL else 3  # of three, one or two would always be about to start, where two cores are busy
PER_SECOND = 30 if FULL else 25  # what two cores can do while a worker is started every 3 s


async def test_kill_9_of_workers(shared_lab: Lab, results: Results) -> None:
    """What a dead worker held is run elsewhere within the promised time, and nothing is lost or done twice."""
    lab, count = shared_lab, size(150, 10_000)
    while len(lab.workers) < WORKERS:
        lab.start_worker()
    await lab.started()
    verdict = await Trial(lab, "killed").run(
        bookings("killed", count, slow_share=0.02 if FULL else 0.1, slow_ms=600),
        lambda sent: kill_workers(lab, 3, sent),
        limits=ALL_TAKEN,
        per_second=PER_SECOND,
    )
    killed = len(lab.stopped)
    results.add("T1 kill -9 of a random worker every 3 s", verdict, f"{killed} kills, {WORKERS} workers")
    assert all(verdict.lanes[backend].reruns for backend in BACKENDS), "no kill hit a job of each backend"


async def test_a_frozen_worker_wakes_up(shared_lab: Lab, results: Results) -> None:
    """Past its lease, when others have taken its jobs: it changes nothing any more."""
    lab, observer, held = shared_lab, shared_lab.observer(), list[int]()
    await lab.started()

    async def freeze(sent: asyncio.Event) -> None:
        held.append(await freeze_worker(lab, observer))

    trial = Trial(lab, "frozen")
    try:
        count = size(40, 200)
        asked = bookings("frozen", count, slow_share=1, slow_ms=700)
        limits = replace(ALL_TAKEN, rerun_max=None, rerun_p99=None)
        verdict = await trial.run(asked, freeze, limits=limits, per_second=40)
    finally:
        await observer.close()
    results.add("T5 SIGSTOP of a worker past its lease, then SIGCONT", verdict, f"{held[0]} jobs in its hands")


async def test_rolling_restarts(shared_lab: Lab, results: Results) -> None:
    """SIGTERM: short steps finish, what waits is handed back, and nothing is begun twice."""
    lab, statuses = shared_lab, list[int]()
    await lab.started()

    async def restart(sent: asyncio.Event) -> None:
        statuses.extend(await restart_workers(lab, size(5, 20), sent))

    count = size(120, 5000)
    asked = bookings("restarted", count)
    verdict = await Trial(lab, "restarted").run(asked, restart, limits=ALL_TAKEN, per_second=2 * PER_SECOND)
    results.add("T12 SIGTERM of one worker after the other", verdict, f"{len(statuses)} restarts")
    assert len(statuses) >= size(1, 20), "too few workers were restarted while the load ran"
    assert set(statuses) == {0}, f"exit statuses {statuses}"
    assert not verdict.begun_again, f"{len(verdict.begun_again)} were begun twice"
    assert not verdict.handed_back, f"{len(verdict.handed_back)} were begun and not finished"
