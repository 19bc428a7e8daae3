"""Brokers that crash, stop, stay away and forget."""

from __future__ import annotations

import asyncio
import os
import time

import httpx

from tests.faults.breaks import crash
from tests.faults.checker import ALL_TAKEN, Limits
from tests.faults.conftest import size
from tests.faults.lab import Trial
from tests.faults.load import BACKENDS, bookings
from tests.faults.processes import ProcessLab
from tests.faults.results import Results

RESUMED_SECONDS = 10


async def next_ack(trial: Trial) -> float:
    """Seconds until the gateway accepts the next booking."""
    began, load = time.monotonic(), trial.load
    assert load
    known = len(load.acked)
    async with asyncio.timeout(60):
        while len(load.acked) == known:
            await asyncio.sleep(0.05)
    return time.monotonic() - began


async def test_redis_crashes(own_lab: ProcessLab, results: Results) -> None:
    """With appendfsync always nothing that was accepted is lost, and work goes on at once."""
    lab = own_lab
    lab.suite.redis.appendfsync = "always"
    await asyncio.to_thread(lab.start)
    await lab.started()
    trial, resumed = Trial(lab, "redis"), list[float]()

    async def crashes(sent: asyncio.Event) -> None:
        for kill in [True] * size(3, 10) + [False] * size(2, 5):
            await asyncio.sleep(3)
            await crash(lab, lab.suite.redis, kill=kill)
            resumed.append(await next_ack(trial))

    count = size(200, 5000)
    verdict = await trial.run(bookings("redis", count), crashes, limits=Limits(accepted=0.2), per_second=60)
    notes = f"{len(resumed)} crashes, accepting again after at most {max(resumed):.1f} s"
    results.add("T2 Redis: kill -9 and SIGTERM in turn, appendfsync always", verdict, notes)
    assert max(resumed) <= RESUMED_SECONDS


async def test_the_machine_of_redis_crashes(own_lab: ProcessLab, results: Results) -> None:
    """With appendfsync everysec what was written since the last fsync is gone. That is told, not promised."""
    lab, redis = own_lab, own_lab.suite.redis
    await asyncio.to_thread(lab.start)
    await lab.started()
    trial = Trial(lab, "cut-back")

    async def crash_the_machine(sent: asyncio.Event) -> None:
        await asyncio.sleep(5)
        synced = {file: file.stat().st_size for file in redis.folder.glob("appendonlydir/*.incr.aof")}
        await asyncio.sleep(1)
        await asyncio.to_thread(redis.kill)
        for file, length in synced.items():
            os.truncate(file, length)
        await asyncio.to_thread(redis.start)
        lab.fault()

    asked = bookings("cut-back", size(150, 1000))
    verdict = await trial.run(asked, crash_the_machine, per_second=30, limits=Limits(quiet=None))
    results.tell("T2 Redis' machine crashes, appendfsync everysec: its log is cut back by a second", verdict)


async def test_a_consumer_group_is_destroyed(shared_lab: ProcessLab, results: Results) -> None:
    """It is made again from the beginning, what was done is not done again, and it is told."""
    lab, observer = shared_lab, shared_lab.observer()
    await lab.started()

    async def destroy(sent: asyncio.Event) -> None:
        await asyncio.sleep(2)
        await observer.redis.xgroup_destroy("booking-stream", "booking-workers")
        lab.fault()

    try:
        asked = bookings("destroyed", size(150, 1000))
        verdict = await Trial(lab, "destroyed").run(asked, destroy, limits=ALL_TAKEN, per_second=40)
    finally:
        await observer.close()
    results.add("T16 XGROUP DESTROY of the workers' group", verdict)
    stats = httpx.get(f"{lab.suite.url('stream_service')}/stats", timeout=10).json()
    assert stats["alarms"]["groupsRecreated"] >= 1


async def test_redis_is_emptied(own_lab: ProcessLab, results: Results) -> None:
    """FLUSHALL loses the ledger: that cannot be healed, but it is seen, and the suite works on."""
    lab = own_lab
    await asyncio.to_thread(lab.start)
    lab.suite.start_service("monitoring_service")
    await asyncio.to_thread(lab.suite.wait_for, "monitoring_service")
    await lab.started()
    before = await Trial(lab, "before").run(bookings("before", 20, BACKENDS))
    assert not before.wrong
    observer = lab.observer()
    await observer.redis.flushall()
    await observer.close()
    async with asyncio.timeout(30), httpx.AsyncClient(timeout=10) as http:
        while "ledger_emptied" not in await told(http, lab):
            await asyncio.sleep(0.5)
    lab.fault()
    verdict = await Trial(lab, "after").run(bookings("after", size(50, 300), BACKENDS))
    results.add("T16 after FLUSHALL, which monitoring told of", verdict)


async def told(http: httpx.AsyncClient, lab: ProcessLab) -> str:
    return (await http.get(f"{lab.suite.url('monitoring_service')}/dashboard")).text
