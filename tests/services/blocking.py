"""Job types that no worker should have. `sitecustomize_of` plants them in every Python process of an environment: in
workers, and in the children that run their suspects."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from booking_queue.domain.retry import Backoff
from booking_queue.handlers import registry
from booking_queue.handlers.base import Handler, Run
from booking_queue.handlers.noop import Anything
from tests.house.tree import ROOT

BLOCKS, SLOW = "blocks", "slow"


async def block(job: Run, data: Anything) -> None:
    time.sleep(3600)


async def take_time(job: Run, data: Anything) -> None:
    await asyncio.sleep(0.5)


def plant() -> None:
    backoff = Backoff(type="fixed", delay=100)
    registry()[BLOCKS] = Handler(BLOCKS, Anything, block, backoff=backoff)
    registry()[SLOW] = Handler(SLOW, Anything, take_time, backoff=backoff)


def sitecustomize_of(folder: Path) -> dict[str, str]:
    (folder / "sitecustomize.py").write_text("from tests.services.blocking import plant\n\nplant()\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
