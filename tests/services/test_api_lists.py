"""Lists of bookings: newest first, by pages, found by id, user and hotel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from api_service import listing
from api_service.janitor import Janitor
from booking_queue.domain.job import Backend
from booking_queue.ledger.index import Index, Place
from booking_queue.ledger.rooms import Rooms
from booking_queue.settings import Settings
from tests.services.api_world import World, accept, ledger_of, world


@pytest.fixture
async def shop(redis_settings: Settings) -> AsyncIterator[World]:
    async with world(redis_settings, up=False) as made:
        yield made


async def fill(shop: World, count: int, *more: str) -> list[str]:
    """Ids of bookings, newest first. All of a batch are accepted in the same few milliseconds."""
    ids = [str(uuid4()) for _ in range(count)]
    await asyncio.gather(*(accept(shop.ledger, each, indices=("bookings", *more)) for each in ids))
    scores: Any = await shop.redis.zrevrange(shop.key("index:bookings"), 0, -1, withscores=True)
    order = [(score, member.decode()) for member, score in scores]
    return [member for _, member in sorted(order, reverse=True) if member in ids]


async def walk(shop: World, **params: Any) -> list[list[str]]:
    """All pages, by their cursors."""
    pages: list[list[str]] = []
    cursor = None
    while True:
        body = await shop.get("/api/bookings", **params, **({"cursor": cursor} if cursor else {}))
        pages.append([booking["bookingId"] for booking in body["items"]])
        cursor = body["nextCursor"]
        if cursor is None:
            return pages


async def test_pages_hold_every_booking_once_newest_first(shop: World) -> None:
    ids = await fill(shop, 45)
    pages = await walk(shop, limit=10)
    assert [len(page) for page in pages] == [10, 10, 10, 10, 5]
    assert [booking for page in pages for booking in page] == ids
    assert [len(page) for page in await walk(shop, limit=45)] == [45], "no empty page behind a full last one"
    assert len((await walk(shop))[0]) == 20


async def test_an_empty_list(shop: World) -> None:
    assert await shop.get("/api/bookings") == {"items": [], "nextCursor": None}


async def test_new_bookings_do_not_disturb_a_walk_under_way(shop: World) -> None:
    ids = await fill(shop, 6)
    first = await shop.get("/api/bookings", limit=3)
    await fill(shop, 5)
    second = await shop.get("/api/bookings", limit=3, cursor=first["nextCursor"])
    assert [booking["bookingId"] for booking in first["items"] + second["items"]] == ids
    assert second["nextCursor"] is None


async def test_a_walk_goes_on_behind_a_booking_that_is_gone(shop: World) -> None:
    ids = await fill(shop, 9)
    same = int((await shop.redis.zscore(shop.key("index:bookings"), ids[0])) or 0)
    await shop.redis.zadd(shop.key("index:bookings"), dict.fromkeys(ids, same))
    ids.sort(reverse=True)
    first = await shop.get("/api/bookings", limit=4)
    await shop.redis.zrem(shop.key("index:bookings"), ids[3])
    second = await shop.get("/api/bookings", limit=4, cursor=first["nextCursor"])
    assert [booking["bookingId"] for booking in second["items"]] == ids[4:8]


async def test_found_by_id_user_and_hotel(shop: World) -> None:
    mine = await shop.book(userId="ada", hotelId="grand")
    other = await shop.book(userId="bob", hotelId="grand")
    both = await shop.book(userId="grand", hotelId="grand")
    assert await walk(shop, q="ada") == [[mine]]
    assert await walk(shop, q="grand", limit=2) == [[both, other], [mine]], "user and hotel together, each once"
    assert await walk(shop, q=mine) == await walk(shop, q=mine.upper()) == [[mine]]
    assert await walk(shop, q=str(uuid4())) == await walk(shop, q="nobody") == [[]]
    assert await walk(shop, q="a*") == [[]]


async def test_filtered_by_state_and_backend(shop: World) -> None:
    plain = await shop.book(backends=["rq"])
    dead = await shop.book(backends=["rq", "kafka"])
    assert await shop.ledger.bury(await shop.claim(dead), "no")
    done = await shop.book(backends=["kafka"])
    assert await shop.ledger.complete(await shop.claim(done, Backend.KAFKA), {})
    assert await walk(shop, state="accepted") == [[plain]]
    assert await walk(shop, state="dead") == [[dead]]
    assert await walk(shop, state="dead", backend="kafka") == [[]]
    assert await walk(shop, backend="kafka") == [[done, dead]]
    assert await walk(shop, backend="redisStreams") == [[]]
    assert await walk(shop, state="completed", q="ada") == [[done]]
    assert await walk(shop, state="pending", q=plain) == [[plain]]
    assert await walk(shop, state="dead", q=plain) == [[]]


async def test_a_filter_that_nothing_matches_reads_a_bounded_part_at_a_time(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LOOKED_AT", 30)
    monkeypatch.setattr(listing, "CHUNK", 10)
    ids = await fill(shop, 100)
    needle = ids[75]
    assert await shop.ledger.bury(await shop.claim(needle), "no")
    pages = await walk(shop, state="dead")
    assert [booking for page in pages for booking in page] == [needle]
    assert len(pages) == 4, "30 records a page"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", 0),
        ("limit", 101),
        ("limit", "x"),
        ("state", "lost"),
        ("backend", "sqs"),
        ("cursor", "x"),
        ("q", "a" * 101),
    ],
)
async def test_a_bad_query_names_its_field(shop: World, field: str, value: object) -> None:
    answer = await shop.http.get("/api/bookings", params={field: str(value)})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_gone_records_are_left_out(shop: World) -> None:
    ids = await fill(shop, 5)
    await shop.redis.delete(shop.key(f"job:{ids[1]}"))
    assert await walk(shop, limit=2) == [[ids[0], ids[2]], [ids[3], ids[4]]]


async def sweep(shop: World) -> None:
    janitor = Janitor(Rooms(shop.ledger.scripts), Index(shop.ledger.scripts, shop.settings))
    for _ in range(40):
        await janitor.index()


async def test_the_janitor_takes_out_what_is_gone_and_nothing_else(shop: World) -> None:
    ids = await fill(shop, 600, "user:ada")
    old = ids[:300]
    for name in ("index:bookings", "index:user:ada"):
        await shop.redis.zadd(shop.key(name), {each: number for number, each in enumerate(old)})
    gone, kept = old[:280], old[280:]  # a record outlives the retention while its job is not done
    await shop.redis.delete(*(shop.key(f"job:{each}") for each in gone))
    young = ids[300:]
    await shop.redis.delete(shop.key(f"job:{young[0]}"))
    await sweep(shop)
    for name in ("index:bookings", "index:user:ada"):
        members: Any = await shop.redis.zrange(shop.key(name), 0, -1)
        assert {member.decode() for member in members} == {*kept, *young}


async def test_a_list_lasts_as_long_as_what_is_in_it(shop: World) -> None:
    await fill(shop, 1, "user:ada")
    for name in ("index:bookings", "index:user:ada"):
        assert await shop.redis.pttl(shop.key(name)) == -1, "a booking may wait for a year"


async def test_a_step_of_the_janitor_is_bounded(shop: World) -> None:
    index = Index(shop.ledger.scripts, shop.settings)
    ids = await fill(shop, 30)
    await shop.redis.zadd(shop.key("index:bookings"), {each: number for number, each in enumerate(ids)})
    await shop.redis.delete(*(shop.key(f"job:{each}") for each in ids[::2]))
    after, gone = await index.sweep("bookings", 0, 10)
    assert (after, gone) == (5, 5), "those that stay are passed over"
    assert await index.sweep("bookings", 5, 10) == (10, 5)
    assert await index.sweep("bookings", 10, 10) == (None, 5) or await index.sweep("bookings", 15, 10) == (None, 0)
    assert await shop.redis.zcard(shop.key("index:bookings")) == 15


async def test_the_names_of_indices_with_patterns_in_them(redis_settings: Settings) -> None:
    odd = redis_settings.model_copy(update={"key_prefix": f"{redis_settings.key_prefix}[1]*"})
    async with ledger_of(odd) as (_, scripts, ledger):
        await accept(ledger, str(uuid4()), indices=("bookings", "user:a*b[c]", "hotel:h:1?"))
        index = Index(scripts, odd)
        cursor, found = await index.names(0)
        while cursor:
            cursor, more = await index.names(cursor)
            found += more
        assert set(found) == {"bookings", "user:a*b[c]", "hotel:h:1?"}
        assert await index.page(["user:a*b[c]"], None, 10)
        assert await index.page(["bookings"], Place(0, "a"), 10) == []
