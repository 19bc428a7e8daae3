from __future__ import annotations

import asyncio

import pytest

from booking_queue.coalesce import Coalescer
from booking_queue.domain.errors import BackendUnavailable


class Wire:
    """Keeps every batch until the test lets it go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gates: list[asyncio.Event] = []

    async def send(self, batch: list[int]) -> list[int | BaseException]:
        self.batches.append(batch)
        self.gates.append(asyncio.Event())
        await self.gates[-1].wait()
        return [item * 10 for item in batch]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_calls_of_one_moment_travel_in_one_batch_even_if_more_may_be_under_way() -> None:
    wire = Wire()
    calls = Coalescer(wire.send, max_sending=4)
    futures = [calls.submit(item) for item in (1, 2, 3)]
    await settle()
    assert wire.batches == [[1, 2, 3]]
    wire.gates[0].set()
    assert list(await asyncio.gather(*futures)) == [10, 20, 30]


async def test_a_slow_batch_does_not_hold_up_the_next_and_the_bound_holds() -> None:
    wire = Wire()
    calls = Coalescer(wire.send, max_sending=2)
    slow = calls.submit(1)
    await settle()
    quick = calls.submit(2)
    await settle()
    third = calls.submit(3)
    await settle()
    assert wire.batches == [[1], [2]], "a third may not leave while two are under way"
    wire.gates[1].set()
    assert await quick == 20
    await settle()
    assert wire.batches[2] == [3] and not slow.done()
    for gate in wire.gates:
        gate.set()
    assert list(await asyncio.gather(slow, third)) == [10, 30]


async def test_by_default_one_batch_is_under_way_and_order_holds() -> None:
    wire = Wire()
    calls = Coalescer(wire.send, max_batch=2)
    futures = [calls.submit(item) for item in range(5)]
    await settle()
    assert wire.batches == [[0, 1]]
    for number in range(3):
        wire.gates[number].set()
        await settle()
    assert wire.batches == [[0, 1], [2, 3], [4]]
    assert await asyncio.gather(*futures) == [0, 10, 20, 30, 40]


async def test_a_call_made_as_the_last_batch_ends_is_not_forgotten() -> None:
    async def send(batch: list[int]) -> list[int | BaseException]:
        return list(batch)

    calls = Coalescer(send)
    async with asyncio.timeout(1):
        for number in range(20):
            for _ in range(number % 4):
                await asyncio.sleep(0)
            assert await calls(number) == number


async def test_what_was_given_up_before_it_left_is_not_sent() -> None:
    wire = Wire()
    calls = Coalescer(wire.send)
    first = calls.submit(1)
    await settle()
    calls.submit(2).cancel()
    third = calls.submit(3)
    wire.gates[0].set()
    await settle()
    wire.gates[1].set()
    assert list(await asyncio.gather(first, third)) == [10, 30]
    assert wire.batches == [[1], [3]]


async def test_too_many_waiting_calls_are_refused_at_once() -> None:
    wire = Wire()
    calls = Coalescer(wire.send, max_waiting=1)
    first = calls.submit(1)
    with pytest.raises(BackendUnavailable):
        calls.submit(2)
    await settle()
    wire.gates[0].set()
    assert await first == 10
