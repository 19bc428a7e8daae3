from __future__ import annotations

import asyncio
import logging

import pytest

from api_service.rounds import rounds, until_stopped
from booking_queue.domain.errors import BackendUnavailable, LedgerUnavailable


async def test_no_error_ends_it_and_an_outage_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    stop, turns = asyncio.Event(), 0

    async def turn() -> None:
        nonlocal turns
        turns += 1
        if turns == 12:
            stop.set()
        if turns <= 4:
            raise LedgerUnavailable("away")
        if turns <= 6:
            raise BackendUnavailable("away")
        if turns == 7:
            raise KeyError("a bug")

    with caplog.at_level(logging.WARNING, "booking_queue"):
        await asyncio.wait_for(rounds("test", turn, 0.001, stop), 5)
    assert turns == 12
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


async def test_more_to_do_means_no_pause() -> None:
    stop, turns = asyncio.Event(), 0

    async def turn() -> bool:
        nonlocal turns
        turns += 1
        if turns == 100:
            stop.set()
        return True

    await asyncio.wait_for(rounds("test", turn, 60, stop), 5)


@pytest.mark.parametrize("event", ["stop", "wake"])
async def test_stop_and_wake_cut_a_pause_short(event: str) -> None:
    stop, wake, turned = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def turn() -> None:
        wake.clear()
        turned.set()

    task = asyncio.create_task(rounds("test", turn, 60, stop, wake=wake))
    await asyncio.wait_for(turned.wait(), 5)
    turned.clear()
    if event == "stop":
        stop.set()
    else:
        wake.set()
        await asyncio.wait_for(turned.wait(), 5)
        stop.set()
    await asyncio.wait_for(task, 5)


async def test_a_turn_that_does_not_end_is_cut_off_at_the_end() -> None:
    stop = asyncio.Event()
    started = asyncio.Event()

    async def turn() -> None:
        started.set()
        await asyncio.sleep(3600)

    task = asyncio.create_task(rounds("test", turn, 1, stop))
    await started.wait()
    stop.set()
    await asyncio.wait_for(until_stopped([task], 0.05), 5)
    assert task.cancelled()
