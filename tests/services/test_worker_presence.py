"""A worker's name belongs to one worker at a time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from booking_queue.ledger.connection import connect
from booking_queue.ledger.epoch import Epoch
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from monitoring_service.ledger_reader import LedgerReader
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


@pytest.mark.parametrize("hours", [2, -2])
async def test_a_clock_that_is_off_takes_nobody_off_the_roll(
    redis_settings: Settings, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    redis: Any = connect(redis_settings)
    seconds, _ = await redis.time()
    await redis.zadd(f"{redis_settings.key_prefix}:workers", {"other": seconds * 1000})
    right = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: right() + hours * 3_600_000_000_000)
    about = {"address": "http://127.0.0.1:1", "startedAt": "2026-01-01T00:00:00Z"}
    for name in ("off", "right"):
        presence = Presence(redis, redis_settings.model_copy(update={"worker_id": name}))
        await presence.take_name()
        assert await presence._renew(about)
        monkeypatch.undo()
    roll = await LedgerReader(redis, redis_settings, Epoch(redis, redis_settings, Metrics())).roll()
    assert [each.id for each in roll.alive] == ["off", "right"]
    assert list(roll.lost) == ["other"]
    assert all(heard < 3600 for heard in roll.heard.values()), "by one clock"
    await redis.aclose()
