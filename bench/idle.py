"""What each process costs while nothing happens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import psutil

from local.private_suite import PrivateSuite

SETTLE_SECONDS = 5


@dataclass(frozen=True)
class Idle:
    """`core`: share of one. `resident` counts shared libraries in every process, `private` does not."""

    process: str
    core: float
    resident: int
    private: int


async def idle(suite: PrivateSuite, seconds: float) -> list[Idle]:
    worker = suite.start_worker()
    try:
        await asyncio.sleep(SETTLE_SECONDS)
        watched = {
            "worker" if name == worker else name: psutil.Process(process.pid)
            for name, process in suite.processes.items()
        }
        before = {name: _cpu(process) for name, process in watched.items()}
        await asyncio.sleep(seconds)
        spent = {name: _cpu(process) - before[name] for name, process in watched.items()}
        memory = {name: process.memory_full_info() for name, process in watched.items()}
    finally:
        suite.stop(worker)
    return [Idle(name, spent[name] / seconds, memory[name].rss, memory[name].uss) for name in watched]


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
