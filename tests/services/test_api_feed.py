"""The feed of live events by itself, where timing has to be in the test's hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from redis.asyncio import Redis

from api_service import feed as feeding
from api_service.feed import Feed
from booking_queue.ledger.connection import connect
from booking_queue.ledger.events import EventLog, position
from booking_queue.settings import Settings
from booking_queue.tasks import end
from booking_queue.web.sse import Event
from tests.services.api_world import until
from tests.services.test_api_events import newest


def event_of(number: int) -> dict[Any, Any]:
    return {"event": json.dumps({"jobId": "j", "event": "step", "at": 1, "number": number})}


@dataclass
class Stream:
    feed: Feed
    redis: Redis
    key: str

    async def add(self, number: int) -> None:
        await self.redis.xadd(self.key, event_of(number))

    async def numbers(self, source: AsyncIterator[Event], count: int) -> list[int | str]:
        found: list[int | str] = []
        async with asyncio.timeout(15):
            async for event in source:
                found.append(event.event or json.loads(event.data)["data"]["number"])
                if len(found) == count:
                    break
        return found


@pytest.fixture
async def stream(redis_settings: Settings) -> AsyncIterator[Stream]:
    redis, blocking = connect(redis_settings), connect(redis_settings, connections=1)
    feed = Feed(EventLog(redis, blocking, redis_settings))
    running = asyncio.create_task(feed.run())
    yield Stream(feed, redis, f"{redis_settings.key_prefix}:events")
    await end(running)
    await redis.aclose()
    await blocking.connection_pool.disconnect()  # at once: the next file counts those who read


async def test_nothing_is_read_while_nobody_follows(stream: Stream) -> None:
    source = stream.feed.everything("", reset=False)
    getting = asyncio.create_task(stream.numbers(source, 1))
    await until(lambda: stream.feed.followers == 1)
    await stream.add(1)
    assert await getting == [1]
    await source.aclose()  # type: ignore[attr-defined]
    assert stream.feed.followers == 0
    await asyncio.sleep(feeding.BLOCK_MS / 1000 + 0.5)
    clients = await stream.redis.client_list()
    assert not [client for client in clients if client["cmd"] == "xread" and float(client["idle"]) < 2]


async def test_a_client_that_leaves_too_much_lying_is_reset(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "WAITING", 10)
    source = stream.feed.everything("", reset=False)
    getting = asyncio.create_task(stream.numbers(source, 1))
    await until(lambda: stream.feed.followers == 1)
    await stream.add(0)
    assert await getting == [0]
    for number in range(1, 30):
        await stream.add(number)
    end = position(await newest(stream.redis, stream.key))
    await until(lambda: stream.feed._at == end)
    rest = await stream.numbers(source, 2)
    assert rest[0] == "reset" and isinstance(rest[1], int)
    await source.aclose()  # type: ignore[attr-defined]


async def test_a_client_that_the_past_is_cut_off_from_is_reset(stream: Stream) -> None:
    for number in range(250):
        await stream.add(number)
    entries: Any = await stream.redis.xrange(stream.key, count=1)
    source = stream.feed.everything(entries[0][0].decode(), reset=False)
    assert await stream.numbers(source, 1) == [1]
    await stream.redis.xtrim(stream.key, maxlen=10, approximate=False)
    found = await stream.numbers(source, feeding.MISSED)
    assert found == [*range(2, feeding.MISSED + 1), "reset"]
    await source.aclose()  # type: ignore[attr-defined]


async def test_what_the_reader_lost_while_redis_was_away_is_a_reset_for_all(stream: Stream) -> None:
    source = stream.feed.everything("", reset=False)
    getting = asyncio.create_task(stream.numbers(source, 1))
    await until(lambda: stream.feed.followers == 1)
    await stream.add(0)
    assert await getting == [0]
    getting = asyncio.create_task(stream.numbers(source, 1))
    async with stream.redis.pipeline(transaction=True) as at_once:
        at_once.client_kill_filter(_type="normal", skipme=True)
        at_once.delete(stream.key)
        at_once.xadd(stream.key, event_of(1))
        await at_once.execute()
    assert await getting == ["reset"]
    await stream.add(2)
    assert await stream.numbers(source, 1) == [2]
    await source.aclose()  # type: ignore[attr-defined]


NO_EVENTS: list[dict[Any, Any]] = [
    {"event": "garbage"},
    {"event": "[]"},
    {"event": "{}"},
    {"event": json.dumps({"jobId": "j", "event": "step", "at": 10**18})},
    {"else": "1"},
]


@pytest.mark.parametrize("fields", NO_EVENTS)
async def test_what_is_no_event_is_passed_over(
    stream: Stream, fields: dict[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "MISSED", 3)
    await stream.add(0)
    first = await newest(stream.redis, stream.key)
    live, missed = (stream.feed.everything(since, reset=False) for since in ("", first))
    getting = asyncio.create_task(stream.numbers(live, 6))
    await until(lambda: stream.feed.followers == 1)
    async with stream.redis.pipeline(transaction=True) as at_once:
        for number in range(1, 7):
            at_once.xadd(stream.key, event_of(number))
            if number == 2:
                at_once.xadd(stream.key, fields)
        await at_once.execute()
    assert await getting == await stream.numbers(missed, 6) == [1, 2, 3, 4, 5, 6]
    for source in (live, missed):
        await source.aclose()  # type: ignore[attr-defined]


async def test_no_event_falls_between_the_past_and_the_present(stream: Stream) -> None:
    """Clients come and go while events flow: each sees every number from where it began."""
    await stream.add(0)
    first = await newest(stream.redis, stream.key)

    async def flow() -> None:
        for number in range(1, 400):
            await stream.add(number)
            await asyncio.sleep(0.002)

    async def client(delay: float) -> list[int | str]:
        await asyncio.sleep(delay)
        source = stream.feed.everything(first, reset=False)
        try:
            return await stream.numbers(source, 399)
        finally:
            await source.aclose()  # type: ignore[attr-defined]

    flowing = asyncio.create_task(flow())
    found = await asyncio.gather(*(client(delay / 20) for delay in range(15)))
    await flowing
    assert all(numbers == list(range(1, 400)) for numbers in found)
