"""A worker's name belongs to one worker at a time."""

from __future__ import annotations

import asyncio
from typing import Any

from booking_queue.ledger.connection import connect
from booking_queue.settings import Settings
from worker_service.heartbeat import Presence


async def test_a_worker_that_was_frozen_leaves_its_name_to_the_one_that_took_it(redis_settings: Settings) -> None:
    redis: Any = connect(redis_settings)
    settings = redis_settings.model_copy(update={"worker_id": "w"})
    frozen, heir = Presence(redis, settings), Presence(redis, settings)
    await frozen.take_name()
    await redis.delete(f"{settings.key_prefix}:worker:w")  # as if its time had passed
    await heir.take_name()
    stop = asyncio.Event()
    await asyncio.wait_for(frozen.run(dict, stop, asyncio.Event()), 10)
    assert stop.is_set(), "it ends, for its name is another's"
    await frozen.leave()
    assert await redis.get(f"{settings.key_prefix}:worker:w") == heir._mark.encode()
    assert await heir._renew({"jobs": 1}) and await heir._renew({"jobs": 2})
    assert b'"jobs":2' in await redis.get(f"{settings.key_prefix}:worker:w")
    await heir.leave()
    assert not await redis.exists(f"{settings.key_prefix}:worker:w", f"{settings.key_prefix}:workers")
    await redis.aclose()
