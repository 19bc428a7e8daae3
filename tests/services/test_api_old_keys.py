"""Idempotency keys that outlive what was made with them, because LEDGER_RETENTION is less than a day."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from api_service import idempotency
from booking_queue.ledger.idempotency import KEPT_MS
from booking_queue.settings import Settings
from tests.services.api_world import BOOKING, World, world
from tests.services.test_api_rules import Accepts

RETENTION_S = 60


@pytest.fixture
async def shop(redis_settings: Settings) -> AsyncIterator[World]:
    async with world(redis_settings, up=False, ledger_retention=RETENTION_S) as made:
        yield made


async def send(shop: World) -> httpx.Response:
    body = {"bookings": [BOOKING, BOOKING]}
    return await shop.http.post("/api/bookings/batch", json=body, headers={"Idempotency-Key": "k"})


async def pass_by(shop: World, seconds: int) -> None:
    """As if the batch had been sent, done and forgotten meanwhile; of its key, so much of a day has passed."""
    (row,) = [key async for key in shop.redis.scan_iter(shop.key("idempotency:*"))]
    await shop.redis.pexpire(row, KEPT_MS - seconds * 1000)
    await shop.redis.delete(*[key async for key in shop.redis.scan_iter(shop.key("job:*"))])


async def accepted(shop: World) -> int:
    return int(await shop.redis.hget(shop.key("counters"), "rq.accepted") or 0)


async def test_what_was_done_under_a_key_is_not_done_again_once_its_records_are_gone(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "LARGEST_ANSWER", 10)  # as that of a large batch is: it is not kept
    assert (await send(shop)).json()["accepted"] == 2
    await pass_by(shop, RETENTION_S)
    answer = await send(shop)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_spent"), answer.text
    assert "retry-after" not in answer.headers and await accepted(shop) == 2


async def test_nor_is_what_was_taken_of_a_batch_whose_rest_was_refused_for_now(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Accepts(["told", "refused"]).patch(monkeypatch)
    assert (await send(shop)).json()["accepted"] == 1
    await pass_by(shop, RETENTION_S)
    assert (await send(shop)).status_code == 409 and await accepted(shop) == 1


async def test_an_answer_that_was_kept_is_given_for_a_day(shop: World) -> None:
    first = await send(shop)
    await pass_by(shop, KEPT_MS // 1000 - 60)
    assert (await send(shop)).text == first.text and await accepted(shop) == 2
