"""A handler that blocks the event loop: its worker ends by itself, and the job is a suspect like any that kills one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from booking_queue.settings import Settings
from tests.contract.lanes import lane_of
from tests.contract.worker import eventually
from tests.house.tree import ROOT
from tests.services.blocking import BLOCKS, SLOW, sitecustomize_of

FROZEN = """
import asyncio, sys
from worker_service.standstill import Standstill

async def main():
    stop = asyncio.Event()
    watching = asyncio.create_task(Standstill(1, lambda: ["frozen"]).watch(stop))
    print("runs", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.sleep(0.5)
    stop.set()
    await watching

asyncio.run(main())
"""


class Crew:
    """Workers as processes; one that has ended is started again, as those who keep them running do."""

    def __init__(self, env: dict[str, str], log: Path, size: int):
        self._env = env
        self._log = log
        self._crew: list[subprocess.Popen[bytes]] = []
        self._size = size
        self.statuses: list[int] = []

    def look(self) -> None:
        for each in [each for each in self._crew if each.poll() is not None]:
            self._crew.remove(each)
            self.statuses.append(each.returncode)
        while len(self._crew) < self._size:
            with self._log.open("ab") as log:
                command = [sys.executable, "-m", "worker_service.app"]
                self._crew.append(subprocess.Popen(command, cwd=ROOT, env=self._env, stdout=log, stderr=log))

    def close(self) -> None:
        for each in self._crew:
            each.kill()
            each.wait()


@pytest.fixture
def crew(redis_settings: Settings, tmp_path: Path) -> Iterator[Crew]:
    given = {name.upper(): getattr(redis_settings, name) for name in Settings.model_fields if name != "limits"}
    env = {name: str(value) for name, value in given.items() if value not in (None, "")}
    ours = {"WORKER_BACKENDS": "redisStreams", "LEASE_SECONDS": "2", "HEARTBEAT_SECONDS": "0.5"}
    made = Crew(os.environ | env | ours | sitecustomize_of(tmp_path), tmp_path / "log", 2)
    yield made
    made.close()


async def test_a_handler_that_blocks_ends_dead_and_its_neighbours_are_done(
    redis_settings: Settings, crew: Crew, tmp_path: Path
) -> None:
    async with lane_of("redisStreams", redis_settings) as lane:
        before = [await lane.send(SLOW) for _ in range(4)]
        poison = await lane.send(BLOCKS)
        after = [await lane.send(SLOW) for _ in range(4)]

        async def dead() -> bool:
            crew.look()
            return (await lane.leg(poison)).state == "dead"

        await eventually(dead, "the poison to be dead", patience=150)
        leg = await lane.leg(poison)
        assert leg.error and leg.error.startswith("kills workers: 5 starts")
        for neighbour in before + after:
            await lane.reach(neighbour, "completed")
    assert len(crew.statuses) >= 2 and set(crew.statuses) == {1}, "it was claimed twice as any job is, and then alone"
    told = [line for line in (tmp_path / "log").read_text().splitlines() if "event_loop_stands_still" in line]
    assert len([line for line in told if f'"{BLOCKS}"' in line and "blocking.py" in line]) == 5, told


def test_a_process_that_was_frozen_goes_on() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FROZEN], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as frozen:
        assert frozen.stdin and frozen.stdout
        assert frozen.stdout.readline() == "runs\n"
        frozen.send_signal(signal.SIGSTOP)
        time.sleep(2)  # longer than its loop may take for a turn
        frozen.send_signal(signal.SIGCONT)
        frozen.stdin.write("\n")
        frozen.stdin.flush()
        assert frozen.wait(60) == 0
