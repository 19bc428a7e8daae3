"""What tests look at while they wait."""

from __future__ import annotations

import json
from typing import Any

from tests.contract.lanes import Lane
from tests.contract.worker import eventually


async def running(lane: Lane, count: int) -> bool:
    return lane.journal.running >= count


async def renewed(lane: Lane, job: str, lease: Any) -> bool:
    now = await lane.redis.hget(f"{lane.settings.key_prefix}:job:{job}", f"{lane.backend}.lease")
    return bool(now != lease)


async def past_lease(lane: Lane) -> None:
    """Waits until Redis' clock has passed a whole lease from now."""
    seconds, micros = await lane.redis.time()
    until = seconds + micros / 1e6 + lane.settings.lease_seconds

    async def passed() -> bool:
        seconds, micros = await lane.redis.time()
        return bool(seconds + micros / 1e6 > until)

    await eventually(passed, "a lease's length")


async def stopping(worker: Any) -> bool:
    return bool(worker.processor.stopping)


async def events(lane: Lane, job: str) -> list[dict[str, Any]]:

    lines: list[Any] = await lane.redis.lrange(f"{lane.settings.key_prefix}:audit:{job}", 0, -1)
    return [json.loads(line.partition(b" ")[2]) for line in lines]
