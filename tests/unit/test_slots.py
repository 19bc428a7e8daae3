from __future__ import annotations

import asyncio

from booking_queue.backends.slots import Slots


async def test_a_parked_task_lends_its_slot_and_comes_back_before_new_ones() -> None:
    slots = Slots(1)
    order: list[str] = []
    wake = asyncio.Event()

    async def parks() -> None:
        async with slots.parked():
            await wake.wait()
        order.append("parked")

    async def other() -> None:
        wake.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        order.append("other")

    slots.start(parks())
    await asyncio.sleep(0)
    assert await slots.available() == 1
    slots.start(other())
    await asyncio.sleep(0)
    assert slots.free == 0
    await slots.drained()
    assert order == ["other", "parked"]
    assert slots.free == 1


async def test_cancelled_tasks_give_their_slots_back() -> None:
    slots = Slots(2)

    async def parks() -> None:
        async with slots.parked():
            await asyncio.sleep(3600)

    async def runs() -> None:
        await asyncio.sleep(3600)

    for work in (parks(), runs(), runs()):
        await slots.available()
        slots.start(work)
        await asyncio.sleep(0)
    assert slots.free == 0
    slots.cancel_all()
    await slots.drained()
    assert slots.free == 2
    assert slots.parked_now == 0


async def test_parking_is_bounded() -> None:
    slots = Slots(2, max_parked=1)

    async def parks() -> None:
        async with slots.parked():
            await asyncio.sleep(3600)

    for _ in range(3):
        await slots.available()
        slots.start(parks())
        await asyncio.sleep(0)
    assert slots.parked_now == 1
    assert slots.free == 0
    slots.cancel_all()
    await slots.drained()
    assert slots.free == 2
