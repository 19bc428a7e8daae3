"""Live events: one booking's, and everybody's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from api_service import places
from booking_queue.ledger.events import position
from booking_queue.settings import Settings
from tests.services.api_world import World, until, world


@dataclass
class Message:
    id: str = ""
    event: str = "message"
    data: Any = None

    @property
    def kind(self) -> str:
        """The ledger's name of it."""
        return str(self.data["data"]["event"]) if self.event == "message" else self.event


async def newest(redis: Redis, key: str) -> str:
    entries: Any = await redis.xrevrange(key, count=1)
    return str(entries[0][0].decode())


@dataclass
class Reader:
    """What a client has seen so far."""

    messages: list[Message] = field(default_factory=list)
    text: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def kinds(self) -> list[str]:
        return [message.kind for message in self.messages]

    @property
    def ids(self) -> list[str]:
        return [message.id for message in self.messages if message.id]

    async def read(self, answer: httpx.Response) -> None:
        rest = ""
        try:
            async for chunk in answer.aiter_text():
                self.text += chunk
                *blocks, rest = (rest + chunk).split("\n\n")
                self.messages += [message for block in blocks if (message := parsed(block))]
        finally:
            self.ended.set()


def parsed(block: str) -> Message | None:
    fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
    if not fields:
        return None
    return Message(fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"]))


@asynccontextmanager
async def following(shop: World, path: str, last_event_id: str = "") -> AsyncIterator[Reader]:
    headers = {"last-event-id": last_event_id} if last_event_id else {}
    async with shop.http.stream("GET", path, headers=headers, timeout=30) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        reader = Reader()
        task = asyncio.create_task(reader.read(answer))
        try:
            await until(lambda: ": connected" in reader.text)
            yield reader
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def shop(redis_settings: Settings) -> AsyncIterator[World]:
    async with world(redis_settings) as made:
        yield made


async def test_a_bookings_own_events_come_from_its_beginning_and_go_on_live(shop: World) -> None:
    booking_id = await shop.book(backends=["rq"])
    await shop.book(backends=["rq"])
    async with following(shop, f"/api/bookings/{booking_id}/events") as reader:
        await until(lambda: reader.kinds == ["accepted", "queued"])
        claim = await shop.claim(booking_id)
        await shop.ledger.progress(claim, "validate", 10)
        assert await shop.ledger.complete(claim, {})
        await until(lambda: len(reader.messages) == 5)
        assert reader.kinds == ["accepted", "queued", "started", "step", "completed"]
        assert {message.data["subject"] for message in reader.messages} == {booking_id}
        await asyncio.sleep(0.3)
        assert not reader.ended.is_set(), "it stays open after the end of the booking"
    assert reader.ids == sorted(reader.ids, key=lambda text: position(text) or (0, 0))
    assert len(set(reader.ids)) == 5


async def test_an_event_is_a_cloudevent(shop: World) -> None:
    booking_id = await shop.book(backends=["kafka"])
    async with following(shop, f"/api/bookings/{booking_id}/events") as reader:
        await until(lambda: len(reader.messages) == 2)
    event = reader.messages[1].data
    assert event["specversion"] == "1.0"
    assert event["id"] == reader.messages[1].id
    assert event["type"] == "booking-queue.queued"
    assert event["subject"] == event["data"]["jobId"] == booking_id
    assert event["data"]["backend"] == "kafka"
    assert event["time"].endswith("Z")


async def test_a_bookings_events_are_resumed_behind_the_last_one_seen(shop: World) -> None:
    booking_id = await shop.book(backends=["rq"])
    path = f"/api/bookings/{booking_id}/events"
    async with following(shop, path) as first:
        await until(lambda: len(first.messages) == 2)
    claim = await shop.claim(booking_id)
    async with following(shop, path, first.ids[0]) as second:
        await until(lambda: second.kinds == ["queued", "started"])
        await shop.ledger.release(claim)
        await until(lambda: second.kinds == ["queued", "started", "released"])


@pytest.mark.parametrize("last", ["nonsense", "9999999999999-0", "1-1", ""])
async def test_a_position_that_cannot_be_resumed_is_a_reset(shop: World, last: str) -> None:
    booking_id = await shop.book(backends=["rq"])
    if last in ("1-1", ""):  # older than what an audit that was cut still has; '': the first one
        event = json.dumps({"jobId": booking_id, "event": "step", "at": 1})
        await shop.redis.rpush(shop.key(f"audit:{booking_id}"), *[f"2-{n} {event}" for n in range(198)])
    async with following(shop, f"/api/bookings/{booking_id}/events", last) as reader:
        await until(lambda: len(reader.messages) >= 3)
        assert reader.kinds[:3] == ["reset", "accepted", "queued"]


async def test_everybodys_events_come_live_to_every_client_by_one_reader(shop: World) -> None:
    await shop.book()
    async with following(shop, "/api/events") as one, following(shop, "/api/events") as other:
        booking_id = await shop.book(backends=["rq"])
        await until(lambda: one.kinds == other.kinds == ["accepted", "queued"])
        for reader in (one, other):
            assert {message.data["subject"] for message in reader.messages} == {booking_id}
        assert await shop.metric("event_streams") == 2
        clients = await shop.redis.client_list()
        blocked = [client for client in clients if client["cmd"] == "xread" and int(client["db"]) == 0]
        assert len(blocked) == 1
    await until(lambda: nobody_follows(shop))


async def nobody_follows(shop: World) -> bool:
    return await shop.metric("event_streams") == 0


async def test_what_was_missed_is_given_first_then_what_comes(shop: World) -> None:
    async with following(shop, "/api/events") as first:
        await shop.book(backends=["rq"])
        await until(lambda: len(first.messages) == 2)
    for _ in range(3):
        await shop.book(backends=["rq"])
    async with following(shop, "/api/events", first.ids[-1]) as second:
        await shop.book(backends=["rq"])
        await until(lambda: len(second.messages) >= 8)
        await asyncio.sleep(0.3)
        assert second.kinds == ["accepted", "queued"] * 4
        assert len(set(second.ids)) == 8
        assert not set(second.ids) & set(first.ids)


async def test_thousands_of_missed_events_come_in_order_without_a_gap(shop: World) -> None:
    await shop.book()
    last = await newest(shop.redis, shop.key("events"))
    async with shop.redis.pipeline(transaction=False) as pipe:
        for number in range(3000):
            event = {"jobId": "j", "event": "step", "at": 1, "number": number}
            pipe.xadd(shop.key("events"), {"event": json.dumps(event)})
        await pipe.execute()
    async with following(shop, "/api/events", last) as reader:
        await until(lambda: len(reader.messages) >= 3000, 20)
    assert [message.data["data"].get("number") for message in reader.messages] == list(range(3000))


@pytest.mark.parametrize("last", ["1-1", "nonsense", "9999999999999-0"])
async def test_older_than_the_stream_is_a_reset_then_live(shop: World, last: str) -> None:
    await shop.book()
    await shop.redis.xtrim(shop.key("events"), maxlen=1, approximate=False)
    async with following(shop, "/api/events", last) as reader:
        booking_id = await shop.book(backends=["rq"])
        await until(lambda: len(reader.messages) >= 3)
        assert reader.kinds == ["reset", "accepted", "queued"]
        assert reader.messages[1].data["subject"] == booking_id


async def test_a_stopping_gateway_says_bye(redis_settings: Settings) -> None:
    async with world(redis_settings) as shop:
        booking_id = await shop.book()
        async with (
            following(shop, "/api/events") as one,
            following(shop, f"/api/bookings/{booking_id}/events") as other,
        ):
            shop.gateway.stop.set()
            for reader in (one, other):
                await asyncio.wait_for(reader.ended.wait(), 5)
                assert reader.messages[-1].event == "bye"


async def test_more_clients_than_it_serves_are_told_to_come_back(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MOST", 1)
    async with following(shop, "/api/events"):
        await until(lambda: followed(shop))
        answer = await shop.http.get("/api/events")
        assert answer.status_code == 503 and "retry-after" in answer.headers


async def followed(shop: World) -> bool:
    return await shop.metric("event_streams") == 1


def test_both_kinds_of_position() -> None:
    assert position("5-7") == (5, 7) == position(b"5-7")
    for text in ("", "5", "5-", "-7", "a-b", "5-7-9", "٣-٣", "1" * 30 + "-1"):
        assert position(text) is None
