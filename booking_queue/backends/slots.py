"""How many jobs run at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


class Slots:
    """A bounded number of running tasks. A task that only waits can lend its slot to others meanwhile."""

    def __init__(self, capacity: int, max_parked: int = 1000):
        self.capacity = capacity
        self.max_parked = max_parked
        self.parked_now = 0
        self._used = 0
        self._returning: deque[asyncio.Future[None]] = deque()
        self._freed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._paused = False

    @property
    def free(self) -> int:
        return 0 if self._returning or self._paused else max(0, self.capacity - self._used)

    def pause(self, paused: bool) -> None:
        """Nothing new is taken; what runs goes on."""
        self._paused = paused
        if self.free:
            self._freed.set()

    @property
    def tasks(self) -> int:
        return len(self._tasks)

    async def available(self) -> int:
        """Waits until a slot is free; how many are."""
        while not self.free:
            self._freed.clear()
            await self._freed.wait()
        return self.free

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs it in a slot. The caller has seen that one is free."""
        self._used += 1
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._give()

    def _give(self) -> None:
        self._used -= 1
        while self._returning and self._used < self.capacity:
            waiter = self._returning.popleft()
            if not waiter.done():
                self._used += 1
                waiter.set_result(None)
        if self.free:
            self._freed.set()

    @asynccontextmanager
    async def parked(self) -> AsyncIterator[None]:
        """Lends this task's slot out. Returning tasks come before new ones. Bounded: beyond it the slot is kept."""
        if self.parked_now >= self.max_parked:
            yield
            return
        self.parked_now += 1
        self._give()
        try:
            yield
        except BaseException:
            self.parked_now -= 1
            self._used += 1  # the task is ending, which gives a slot back
            raise
        self.parked_now -= 1
        await self._take_back()

    async def _take_back(self) -> None:
        if self._used < self.capacity and not self._returning:
            self._used += 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._returning.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.done() or waiter.cancelled():
                self._used += 1  # the end of the task gives back a slot: account for it
            raise

    async def drained(self) -> None:
        """Waits until no task is left."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def cancel_all(self) -> None:
        for task in self._tasks:
            task.cancel()
