"""Faults, small enough to be put together. Each runs until the load is sent or it has done what it was asked, and
leaves everything running."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from tests.faults.lab import Broker, Lab
from tests.faults.load import BACKENDS
from tests.faults.observe import Observer

TAKEN_OVER_SECONDS = 45.0


async def pause(seconds: float, sent: asyncio.Event) -> bool:
    """False once the load is sent."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await sent.wait()
    return not sent.is_set()


async def kill_workers(lab: Lab, every: float, sent: asyncio.Event) -> None:
    """kill -9 of one after the other, by chance; as under a supervisor, another starts in its place."""
    while await pause(every, sent):
        await asyncio.to_thread(lab.kill_worker)
        await asyncio.to_thread(lab.start_worker)


async def restart_workers(lab: Lab, times: int, sent: asyncio.Event) -> list[int]:
    """SIGTERM to the oldest once its successor works; their exit statuses."""
    statuses = []
    for _ in range(times):
        await lab.started(await asyncio.to_thread(lab.start_worker))
        statuses.append(await lab.stop_worker(lab.workers[0]))
        if sent.is_set():
            break
    return statuses


async def replace_dead_workers(lab: Lab, sent: asyncio.Event) -> None:
    """What a supervisor does, as long as work is sent and some of it kills its worker."""
    while await pause(0.2, sent):
        for _ in range(lab.remove_dead_workers()):
            lab.start_worker()


async def freeze_worker(lab: Lab, observer: Observer, backends: Sequence[str] = BACKENDS, jobs: int = 1) -> int:
    """SIGSTOP to one that has so many jobs in hand from each backend, SIGCONT once all of them were begun elsewhere:
    its leases have ended, and others hold what it still believes to be its own. How many there were."""
    name = await busy(observer, lab.workers, backends, jobs)
    await asyncio.to_thread(lab.freeze_worker, name)
    held = await taken_over(observer, name)
    await asyncio.to_thread(lab.thaw_worker, name)
    return held


async def taken_over(observer: Observer, worker: str) -> int:
    """Until all that this worker has in hand was begun elsewhere. It is not heard of, so it begins nothing new."""
    held = await jobs_of(observer, worker)
    async with asyncio.timeout(TAKEN_OVER_SECONDS):
        while any((await jobs_of(observer, worker)).values()):
            await asyncio.sleep(0.1)
    return sum(map(len, held.values()))


async def busy(observer: Observer, workers: Sequence[str], backends: Sequence[str], jobs: int) -> str:
    """The first of these workers that has so many jobs of each of these backends in hand."""
    async with asyncio.timeout(30):
        while True:
            for worker in workers:
                found = await jobs_of(observer, worker)
                if all(len(found[backend]) >= jobs for backend in backends):
                    return worker
            await asyncio.sleep(0.05)


async def jobs_of(observer: Observer, worker: str) -> dict[str, set[str]]:
    """The jobs this worker has started and not ended, by backend."""
    found: dict[str, set[str]] = {backend: set() for backend in BACKENDS}
    for record in await observer.records(lambda _: True):
        for leg in record.legs.values():
            if leg.state == "active" and leg.worker == worker:
                found[leg.backend.value].add(record.id)
    return found


async def crash(lab: Lab, broker: Broker, *, kill: bool, away: float = 0.0) -> float:
    """Ends a broker, by kill -9 or by SIGTERM, and starts it on the same data after `away` seconds; how long no one
    could reach it."""
    began = time.monotonic()
    await asyncio.to_thread(broker.kill if kill else broker.stop)
    lab.fault()
    await asyncio.sleep(away)
    await asyncio.to_thread(broker.start)
    lab.fault()
    return time.monotonic() - began
