"""What is not ours, or is broken: to the dead letters with the reason, and never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from booking_queue.settings import Settings
from tests.unit.stream_lane import Streams, completed, eventually, streams_of, worker_of


@pytest.fixture
async def streams(redis_settings: Settings) -> AsyncIterator[Streams]:
    async with streams_of(redis_settings) as streams:
        yield streams


POISON: list[tuple[dict[Any, Any], str]] = [
    ({"hello": "world"}, "no field messageId"),
    ({"messageId": "m", "type": "booking"}, "no field data"),
    ({"messageId": "m", "type": "booking", "data": "{", "generation": "1", "attempt": "1"}, "not JSON"),
    ({"messageId": "m", "type": "booking", "data": "[1]", "generation": "1", "attempt": "1"}, "no JSON object"),
    ({"messageId": "m", "type": "", "data": "{}", "generation": "1", "attempt": "1"}, "type is empty"),
    ({"messageId": "m" * 201, "type": "booking", "data": "{}", "generation": "1", "attempt": "1"}, "too long"),
    ({"messageId": "m", "type": "booking", "data": "{}", "generation": "x", "attempt": "1"}, "number"),
    ({"messageId": "m", "type": "booking", "data": "{}", "generation": "9" * 40, "attempt": "1"}, "out of range"),
    ({"messageId": b"\xff\xfe", "type": "booking", "data": "{}", "generation": "1", "attempt": "1"}, "not UTF-8"),
    ({b"\xff": b"\xfe\x00"}, "no field messageId"),
]


async def test_poison_goes_to_the_dead_letters_and_takes_nobody_with_it(streams: Streams) -> None:
    for fields, _ in POISON:
        await streams.redis.xadd(streams.normal, fields)
    async with worker_of(streams, slots=1) as worker:
        jobs = [await streams.send() for _ in range(3)]
        await completed(streams, *jobs)
        assert worker.started == jobs
    letters = await streams.publisher.dead_letters()
    assert len(letters) == len(POISON)
    for (_, why), letter in zip(POISON, reversed(letters), strict=True):
        assert why in letter["error"], (why, letter)
        assert letter["originalStream"] == streams.normal
    assert await streams.pending() == []


async def test_a_huge_entry_is_dead_lettered_cut_short(streams: Streams) -> None:
    body = {"messageId": "m", "type": "booking", "generation": "1", "attempt": "1", "data": "x" * (2 * 1024 * 1024)}
    await streams.redis.xadd(streams.normal, body)
    async with worker_of(streams):
        (letter,) = await eventually(streams.publisher.dead_letters, "the dead letter")
    assert "bytes" in letter["error"]
    assert len(str(letter["data"])) < 100_000


async def test_what_is_cut_short_in_the_middle_of_a_character_can_still_be_read(streams: Streams) -> None:
    """Valid JSON, which is kept as it came, and no object."""
    for start in ("", "a"):
        body = {"messageId": f"utf-cut{start}", "type": "booking", "generation": "1", "attempt": "1"}
        await streams.redis.xadd(streams.normal, body | {"data": f'"{start}{"é" * 40_000}"'})
    async with worker_of(streams):
        await completed(streams, await streams.send())
    for start in ("", "a"):
        record = await streams.ledger.get(f"utf-cut{start}")
        assert record and set(record.data["raw"][2:]) == {"é"}
    assert len(await streams.publisher.dead_letters()) == 2
