"""Rooms, night by night, and what the janitor gives back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from api_service.janitor import Janitor
from booking_queue.domain.booking import STEPS
from booking_queue.domain.job import Backend
from booking_queue.ledger.effects import Effects, Stay
from booking_queue.ledger.index import Index
from booking_queue.ledger.rooms import Rooms
from booking_queue.settings import Settings
from tests.services.api_world import World, accept, ledger_of, until, world

PATH = "/api/hotels/grand%20hotel/inventory"
NIGHTS = {"checkIn": "2027-01-01", "checkOut": "2027-01-04"}


@pytest.fixture
async def shop(redis_settings: Settings) -> AsyncIterator[World]:
    async with world(redis_settings, up=False, inventory_default_rooms=7) as made:
        yield made


async def hold(shop: World, *nights: str, ms: int = 60_000, kind: str = "suite") -> str:
    booking_id = str(uuid4())
    await accept(shop.ledger, booking_id, Backend.RQ)
    effects, claim = Effects(shop.ledger.scripts), await shop.claim(booking_id)
    await effects.claim(claim, STEPS[0])
    held = await effects.hold_rooms(claim, STEPS[0], Stay("grand hotel", kind, nights, 7), ms)
    assert held == {"held": True}
    return booking_id


async def put(shop: World, **body: Any) -> Any:
    return await shop.http.put(PATH, json={"roomType": "suite", **NIGHTS, **body})


async def test_a_hotel_has_the_default_until_told_otherwise(shop: World) -> None:
    found = await shop.get(PATH, **NIGHTS)
    assert found["hotelId"] == "grand hotel"
    assert found["roomType"] == "standard"
    assert [night["date"] for night in found["nights"]] == ["2027-01-01", "2027-01-02", "2027-01-03"]
    assert found["nights"][0] == {"date": "2027-01-01", "total": 7, "taken": 0, "sold": 0, "free": 7}
    assert len((await shop.get(PATH, checkIn="2027-01-01"))["nights"]) == 1


async def test_a_new_total_holds_for_its_nights_and_type_alone(shop: World) -> None:
    await hold(shop, "2027-01-02")
    answer = await put(shop, total=3)
    assert answer.status_code == 200
    assert [(night["total"], night["taken"], night["free"]) for night in answer.json()["nights"]] == [
        (3, 0, 3),
        (3, 1, 2),
        (3, 0, 3),
    ]
    assert (await shop.get(PATH, **NIGHTS, roomType="suite")) == answer.json()
    assert (await shop.get(PATH, checkIn="2027-01-04", roomType="suite"))["nights"][0]["total"] == 7
    assert (await shop.get(PATH, **NIGHTS))["nights"][0]["total"] == 7


async def test_no_total_goes_below_what_is_taken_and_then_nothing_changes(shop: World) -> None:
    for _ in range(2):
        await hold(shop, "2027-01-03")
    answer = await put(shop, total=1)
    assert answer.status_code == 409
    assert "2 rooms are taken in the night of 2027-01-03" in answer.json()["detail"]
    assert [night["total"] for night in (await shop.get(PATH, **NIGHTS, roomType="suite"))["nights"]] == [7, 7, 7]
    assert (await put(shop, total=2)).status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "checkIn"),
        ({"checkIn": "tomorrow"}, "checkIn"),
        ({"checkIn": "2027-01-02", "checkOut": "2027-01-02"}, "checkOut"),
        ({"checkIn": "2027-01-01", "checkOut": "2028-01-03"}, "checkOut"),
        ({"checkIn": "2027-01-01", "roomType": "cupboard"}, "roomType"),
        ({"checkIn": "9999-12-31"}, "checkOut"),
    ],
)
async def test_a_bad_query_names_its_field(shop: World, query: dict[str, str], field: str) -> None:
    answer = await shop.http.get(PATH, params=query)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_bad_total_is_refused(shop: World) -> None:
    for body, field in (
        ({"total": -1}, "total"),
        ({"total": "3"}, "total"),
        ({"total": 1_000_001}, "total"),
        ({}, "total"),
        ({"total": 1, "rooms": 1}, "rooms"),
        ({"total": 1, "checkOut": "2026-12-31"}, "checkOut"),
        ({"total": 1, "checkOut": None}, "checkOut"),
        ({"total": "3", "checkOut": "2027-01-01"}, "checkOut total"),
    ):
        answer = await put(shop, **body)
        assert answer.status_code == 400, body
        assert [error["field"] for error in answer.json()["errors"]] == field.split()
    assert (await shop.http.get("/api/hotels/%00/inventory", params=NIGHTS)).status_code in (400, 404)
    assert (await shop.http.get(f"/api/hotels/{'x' * 101}/inventory", params=NIGHTS)).status_code == 400


async def test_a_hold_that_ran_out_is_given_back_by_the_running_gateway(shop: World) -> None:
    await hold(shop, "2027-01-01", "2027-01-02", ms=1)
    kept = await hold(shop, "2027-01-01", ms=60_000)
    await until(lambda: taken(shop, [1, 0, 0]))
    record = await shop.ledger.get(kept)
    assert record


async def taken(shop: World, expected: list[int]) -> bool:
    nights = (await shop.get(PATH, **NIGHTS, roomType="suite"))["nights"]
    return [night["taken"] for night in nights] == expected


async def test_a_full_turn_of_holds_asks_for_the_next_at_once(redis_settings: Settings) -> None:
    async with ledger_of(redis_settings) as (redis, scripts, _):
        janitor = Janitor(Rooms(scripts), Index(scripts, redis_settings))
        assert not await janitor.holds()
        holds = f"{redis_settings.key_prefix}:holds"
        await redis.zadd(holds, {str(number): 1 for number in range(150)})
        assert [await janitor.holds(), await janitor.holds()] == [True, False]
        assert await redis.zcard(holds) == 0
