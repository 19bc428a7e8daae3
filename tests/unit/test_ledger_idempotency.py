"""Idempotency keys in the ledger, on a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from booking_queue.ledger.connection import connect
from booking_queue.ledger.idempotency import Idempotency, KeyBusy, KeyReused
from booking_queue.ledger.script import source
from booking_queue.settings import Settings
from tests.unit.book import Book

LUA = source("booking_queue.ledger", "idempotency.lua")


@pytest.fixture
async def book(redis_settings: Settings) -> AsyncIterator[Book]:
    redis = connect(redis_settings)
    yield Book(redis, redis_settings, LUA)
    await redis.aclose()


async def test_one_key_one_answer(book: Book) -> None:
    keys = Idempotency(book.scripts)
    first = await keys.begin("t", "key", b"body")
    with pytest.raises(KeyBusy):
        await keys.begin("t", "key", b"body")
    with pytest.raises(KeyReused):
        await keys.begin("t", "key", b"other")
    assert (await keys.begin("another tenant", "key", b"other")).nonce != first.nonce
    await keys.end(first, b"answer")
    again = await keys.begin("t", "key", b"body")
    assert (again.answer, again.new_id()) == (b"answer", first.new_id())
    assert first.new_id(1) != first.new_id(0)


async def test_a_server_that_died_at_it_leaves_the_key_to_the_next(book: Book) -> None:
    keys = Idempotency(book.scripts)
    first = await keys.begin("t", "key", b"body")
    await book.redis.hset(f"{book.prefix}:idempotency:{first.key}", "lease", "1")
    second = await keys.begin("t", "key", b"body")
    assert second.new_id() == first.new_id() and second.answer is None
    await keys.leave(second)
    third = await keys.begin("t", "key", b"body")
    assert (third.new_id(), third.answer) == (first.new_id(), None)
    await keys.forget(third)  # it did nothing; the first, which is gone, may have
    assert (await keys.begin("t", "key", b"body")).nonce == first.nonce


async def test_a_key_under_which_nothing_was_done_may_be_used_for_anything(book: Book) -> None:
    keys = Idempotency(book.scripts)
    first = await keys.begin("t", "key", b"body")
    await keys.forget(first)
    assert (await keys.begin("t", "key", b"anything")).nonce != first.nonce
