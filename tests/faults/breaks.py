"""Faults, small enough to be put together. Each runs until the load is sent or it has done what it was asked, and
leaves everything running."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from local.broker_process import BrokerProcess
from tests.faults.lab import Lab
from tests.faults.load import BACKENDS
from tests.faults.observe import Observer


async def pause(seconds: float, sent: asyncio.Event) -> bool:
    """False once the load is sent."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await sent.wait()
    return not sent.is_set()


async def kill_workers(lab: Lab, every: float, sent: asyncio.Event) -> None:
    """kill -9 of one after the other, by chance; as under a supervisor, another starts in its place."""
    while await pause(every, sent):
        lab.kill_worker()
        lab.start_worker()


async def restart_workers(lab: Lab, times: int, sent: asyncio.Event) -> list[int]:
    """SIGTERM to the oldest once its successor works; their exit statuses."""
    statuses = []
    for _ in range(times):
        new = lab.start_worker()
        await lab.started(new)
        statuses.append(await lab.stop_worker(lab.workers[0]))
        if sent.is_set():
            break
    return statuses


async def replace_dead_workers(lab: Lab, sent: asyncio.Event) -> None:
    """What a supervisor does, as long as work is sent and some of it kills its worker."""
    while await pause(0.2, sent):
        for _ in range(lab.remove_dead_workers()):
            lab.start_worker()


async def freeze_worker(lab: Lab, name: str, seconds: float, observer: Observer) -> None:
    """SIGSTOP once it has work in hand from every backend, SIGCONT after `seconds`."""
    async with asyncio.timeout(30):
        while not all((await jobs_of(observer, name)).values()):
            await asyncio.sleep(0.05)
    lab.freeze_worker(name)
    await asyncio.sleep(seconds)
    lab.thaw_worker(name)


async def jobs_of(observer: Observer, worker: str) -> dict[str, int]:
    """How many jobs this worker has started and not ended, by backend."""
    found = dict.fromkeys(BACKENDS, 0)
    for record in await observer.records(lambda _: True):
        for leg in record.legs.values():
            if leg.state == "active" and leg.worker == worker:
                found[leg.backend.value] += 1
    return found


async def crash(lab: Lab, broker: BrokerProcess, *, kill: bool, away: float = 0.0) -> float:
    """Ends a broker, by kill -9 or by SIGTERM, and starts it on the same data after `away` seconds; how long no one
    could reach it."""
    began = time.monotonic()
    await asyncio.to_thread(broker.kill if kill else broker.stop)
    lab.fault()
    await asyncio.sleep(away)
    await asyncio.to_thread(broker.start)
    lab.fault()
    return time.monotonic() - began
