"""What is scarce: rooms and disk."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest

from local.paths import private_folder
from tests.brokers import missing
from tests.faults.checker import Limits
from tests.faults.conftest import size
from tests.faults.history import Expected, Outcome
from tests.faults.lab import Trial
from tests.faults.load import BACKENDS, Asked, bookings
from tests.faults.processes import ProcessLab
from tests.faults.results import Results

RACERS = 50
FIRST = date(2027, 5, 1)


def stay(night: int) -> dict[str, str]:
    check_in = FIRST + timedelta(days=night)
    return {"checkIn": check_in.isoformat(), "checkOut": (check_in + timedelta(days=1)).isoformat()}


async def test_the_last_room(shared_lab: ProcessLab, results: Results) -> None:
    """Many want the one room of a night: one gets it and pays, the others are told."""
    lab, nights = shared_lab, size(10, 100)
    await lab.started()
    every = stay(0) | {"checkOut": (FIRST + timedelta(days=nights)).isoformat(), "roomType": "standard", "total": 1}
    put = httpx.put(f"{lab.suite.url('api_service')}/api/hotels/raced/inventory", json=every, timeout=20)
    assert put.status_code == 200, put.text
    racers = itertools.product(range(RACERS), range(nights))
    asked = [
        Asked(f"raced-{n}-{night}", "raced", backend, Expected.ENDED, stay(night))
        for (n, night), backend in zip(racers, itertools.cycle(BACKENDS), strict=False)
    ]
    trial = Trial(lab, "raced")
    verdict = await trial.run(asked, per_second=60)
    results.add(f"T15 {RACERS} for the one room of each night", verdict, f"{nights} nights")
    assert [night.sold for night in trial.history.nights] == [1] * nights


@pytest.fixture
def small_disk(own_lab: ProcessLab) -> Iterator[Path]:
    """Redis' data folder on 64 MiB."""
    if os.geteuid() != 0:
        missing("a small tmpfs, which only root can mount")
    folder = private_folder(own_lab.suite.redis.folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=True)
    yield folder
    own_lab.suite.close()
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk(own_lab: ProcessLab, small_disk: Path, results: Results) -> None:
    """Redis cannot write: 503, and nothing that was accepted before is lost once there is room again."""
    lab = own_lab
    await asyncio.to_thread(lab.start)
    await lab.started()
    filler = small_disk / "filler"

    async def fill(sent: asyncio.Event) -> None:
        await asyncio.sleep(3)
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(b"\0" * 4096)
        await asyncio.sleep(size(10, 30))
        filler.unlink()
        lab.fault()

    trial = Trial(lab, "full")
    asked, limits = bookings("full", size(150, 600)), Limits(accepted=0.2)
    verdict = await trial.run(asked, fill, limits=limits, per_second=25)
    results.add("T7 Redis' disk full for a while", verdict)
    refused = {attempt.status for attempt in trial.history.attempts if attempt.outcome is Outcome.REFUSED}
    assert refused == {503}, "the disk was never full, or something else than 503 said so"
