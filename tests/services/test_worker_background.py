"""What a worker does beside its jobs goes on after an error that nobody expected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from booking_queue.backends.kafka.sender import Sender
from booking_queue.backends.rq.tender import Tender
from booking_queue.backends.rq_queue import LUA
from booking_queue.backends.slots import Slots
from booking_queue.domain.job import Backend
from booking_queue.effects.documents import Documents
from booking_queue.ledger.connection import connect
from booking_queue.ledger.limits import Limits
from booking_queue.ledger.watch import EffectWatch
from booking_queue.settings import Settings
from booking_queue.tasks import end
from tests.contract.worker import eventually
from tests.unit.book import Book
from worker_service import heartbeat, janitor, pauses
from worker_service.heartbeat import Presence


class Fault:
    """Stands before what is called: the first time of each first argument it raises what no caller expects."""

    def __init__(self, call: Callable[..., Any]):
        self._call = call
        self.called: list[Any] = []
        self.answered: list[Any] = []

    async def __call__(self, *args: Any) -> Any:
        self.called.append(args[:1])
        if self.called.count(args[:1]) == 1:
            raise ValueError("nobody expects it")
        answer = await self._call(*args)
        self.answered.append(args[:1])
        return answer


@pytest.fixture
async def redis(redis_settings: Settings) -> AsyncIterator[Redis]:
    redis = connect(redis_settings)
    yield redis
    await redis.aclose()


async def _is(value: bool) -> bool:
    return value


async def test_rq_s_jobs_are_tended_and_its_worker_is_seen(
    redis: Redis, redis_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = Book(redis, redis_settings, LUA).scripts
    fault = Fault(scripts.call)
    monkeypatch.setattr(scripts, "call", fault)
    tasks = Tender(scripts, redis_settings, "w").start(lambda: False)
    wanted = {("rq_tend",), ("rq_alive",), ("rq_prune",)}
    await eventually(lambda: _is(wanted <= set(fault.answered)), "both tasks to go on")
    await end(*tasks)


async def test_a_pause_is_followed(redis: Redis, redis_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "LOOK_SECONDS", 0.01)
    scripts = Book(redis, redis_settings).scripts
    limits, slots, stop = Limits(scripts), Slots(1), asyncio.Event()
    await limits.put({"rq": {"paused": 1}})
    monkeypatch.setattr(scripts, "call", Fault(scripts.call))
    following = asyncio.create_task(pauses.follow(limits, {Backend.RQ: slots}, stop))
    await eventually(lambda: _is(not slots.free), "the pause")
    stop.set()
    await following


async def test_papers_are_swept(
    redis: Redis, redis_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "EVERY_SECONDS", 0.01)
    book, documents, stop = Book(redis, redis_settings), Documents(tmp_path), asyncio.Event()
    fault = Fault(documents.sweep)
    monkeypatch.setattr(documents, "sweep", fault)
    sweeping = asyncio.create_task(janitor.run(documents, book.ledger, 60, stop))
    await eventually(lambda: _is(bool(fault.answered)), "the next sweep")
    stop.set()
    await sweeping


async def test_a_worker_keeps_its_name(redis: Redis, redis_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "PRESENCE_SECONDS", 0.01)
    presence, stop, finished = Presence(redis, redis_settings), asyncio.Event(), asyncio.Event()
    name = await presence.take_name()
    abouts: Any = iter([None, {"jobs": 1}])  # what cannot be merged into an entry, first
    telling = asyncio.create_task(presence.run(lambda: next(abouts, {"jobs": 2}), stop, finished))

    async def told() -> bool:
        return b'"jobs":2' in (await redis.get(f"{redis_settings.key_prefix}:worker:{name}") or b"")

    await eventually(told, "the entry")
    finished.set()
    await telling
    assert not stop.is_set()


async def test_word_of_an_effect_is_heard_after_one_that_is_no_text(redis: Redis, redis_settings: Settings) -> None:
    watch, stop, channel = EffectWatch(redis, redis_settings), asyncio.Event(), f"{redis_settings.key_prefix}:effects"
    watching = asyncio.create_task(watch.run(stop))
    with watch.interest("job") as woken:
        await eventually(lambda: _heard(redis, channel, b"\xff"), "somebody to hear it")

        async def told() -> bool:
            await redis.publish(channel, b"job")
            return woken.event.is_set()

        await eventually(told, "the word")
    stop.set()
    await watching


async def _heard(redis: Redis, channel: str, word: bytes) -> bool:
    return int(await redis.publish(channel, word)) > 0


async def test_kafka_is_looked_for(settings: Settings) -> None:
    async def prepared() -> None: ...

    prepare = Fault(prepared)
    sender = Sender(settings, "w", prepare)
    sender.open()
    await eventually(lambda: _is(sender.up), "the producer")
    await sender.close()
