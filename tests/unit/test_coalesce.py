from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from booking_queue.coalesce import Coalescer
from booking_queue.domain.errors import BackendUnavailable


class Wire:
    """Records batches; `gate` holds them until it is opened."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def send(self, items: list[int]) -> Sequence[int | BaseException]:
        self.batches.append(items)
        await self.gate.wait()
        return [ValueError(item) if item < 0 else item * 2 for item in items]


async def test_calls_of_one_moment_travel_together() -> None:
    wire = Wire()
    call = Coalescer(wire.send)
    assert await asyncio.gather(*(call(n) for n in range(5))) == [0, 2, 4, 6, 8]
    assert wire.batches == [[0, 1, 2, 3, 4]]


async def test_a_single_call_goes_at_once() -> None:
    wire = Wire()
    call = Coalescer(wire.send)
    assert await call(1) == 2
    assert await call(2) == 4
    assert wire.batches == [[1], [2]]


async def test_a_batch_forms_behind_the_one_under_way() -> None:
    wire = Wire()
    wire.gate.clear()
    call = Coalescer(wire.send, max_batch=3)
    first = asyncio.create_task(call(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(call(n)) for n in range(2, 7)]
    await asyncio.sleep(0)
    wire.gate.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8, 10, 12]
    assert wire.batches == [[1], [2, 3, 4], [5, 6]]


async def test_one_failure_is_its_own() -> None:
    call = Coalescer(Wire().send)
    answers = await asyncio.gather(call(1), call(-1), call(2), return_exceptions=True)
    assert answers[0] == 2
    assert isinstance(answers[1], ValueError)
    assert answers[2] == 4


async def test_a_failed_send_fails_every_call_and_the_next_works() -> None:
    wire = Wire()
    broken = True

    async def send(items: list[int]) -> Sequence[int | BaseException]:
        if broken:
            raise ConnectionError("away")
        return await wire.send(items)

    call = Coalescer(send)
    answers = await asyncio.gather(call(1), call(2), return_exceptions=True)
    assert all(isinstance(answer, ConnectionError) for answer in answers)
    broken = False
    assert await call(3) == 6


async def test_calls_behind_a_batch_that_got_no_answer_do_not_wait_for_theirs() -> None:
    wire = Wire()
    wire.gate.clear()
    silent = True

    async def send(items: list[int]) -> Sequence[int | BaseException]:
        answers = await wire.send(items)
        if silent:
            raise TimeoutError("no answer")
        return answers

    call = Coalescer(send, max_batch=2, silent=TimeoutError)
    calls = [asyncio.create_task(call(n)) for n in range(7)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    wire.gate.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(answer, TimeoutError) for answer in answers)
    assert wire.batches == [[0, 1]], "the others were not sent"
    silent = False
    assert await call(8) == 16


async def test_what_waits_is_bounded() -> None:
    wire = Wire()
    wire.gate.clear()
    call = Coalescer(wire.send, max_batch=1, max_waiting=2)
    waiting = [asyncio.create_task(call(n)) for n in range(3)]
    await asyncio.sleep(0)
    waiting_more = [asyncio.create_task(call(n)) for n in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(BackendUnavailable):
        await call(9)
    wire.gate.set()
    await asyncio.gather(*waiting, *waiting_more, return_exceptions=True)


async def test_a_caller_that_gives_up_does_not_spoil_the_batch() -> None:
    wire = Wire()
    wire.gate.clear()
    call = Coalescer(wire.send)
    gives_up, stays = asyncio.create_task(call(1)), asyncio.create_task(call(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gives_up.cancel()
    await asyncio.sleep(0)
    wire.gate.set()
    assert await stays == 4
