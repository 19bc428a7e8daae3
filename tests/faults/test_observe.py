"""What the lab's observer sees of the brokers, on a real Redis."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from booking_queue.ledger.connection import connect
from booking_queue.settings import Settings
from booking_queue.tasks import end
from tests.faults.observe import LOOK_SECONDS, Observer
from tests.unit.book import Book


@pytest.fixture
async def observer(redis_settings: Settings) -> AsyncIterator[Observer]:
    observer = Observer(redis_settings, lambda: Path("/nowhere"), kafka=False)
    yield observer
    await observer.close()


async def test_a_job_that_stands_in_its_queue_twice_is_seen(observer: Observer, redis_settings: Settings) -> None:
    queue, copies = f"rq:queue:{redis_settings.name_prefix}booking-queue", Counter[str]()
    await observer.redis.rpush(queue, "a", "b", "a")
    watching = asyncio.create_task(observer.watch({}, copies))
    while not copies:
        await asyncio.sleep(LOOK_SECONDS)
    await end(watching)
    assert copies == {"rq a at one moment": 2, "rq b at one moment": 1}


async def test_whoever_stands_in_a_list_must_be_there_and_dead_among_the_dead(
    observer: Observer, redis_settings: Settings
) -> None:
    redis = connect(redis_settings)
    book, gone = Book(redis, redis_settings), str(uuid.uuid4())
    alive, dead = await book.job(), await book.job(tenant="acme")
    assert await book.ledger.bury(await book.claim(dead), "no")
    prefix = f"{redis_settings.key_prefix}:index"
    lists = [f"{prefix}:{name}" for name in ("bookings", "dead:rq", "tenant:acme:dead:rq", "user:dead:rq")]
    for name in lists:
        await redis.zadd(name, dict.fromkeys((alive, dead, gone), 1))
    found = await observer.listed_in_vain(lists)
    assert sorted(found) == sorted(
        [*(f"{name} {gone}" for name in lists), f"{prefix}:dead:rq {alive}", f"{prefix}:tenant:acme:dead:rq {alive}"]
    )
    await redis.aclose()
