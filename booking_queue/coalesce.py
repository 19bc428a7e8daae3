"""Calls made at the same moment travel together.

`Coalescer` gathers the calls of one turn of the event loop into one batch. While a batch is under way the next one
forms behind it. So at low load a call goes at once, and under load batches grow by themselves; nothing ever waits
for a fixed time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from booking_queue.domain.errors import BackendUnavailable, BookingQueueError

Item = TypeVar("Item")
Answer = TypeVar("Answer")

Send = Callable[[list[Item]], Awaitable[Sequence[Answer | BaseException]]]


class Coalescer(Generic[Item, Answer]):
    """`send` takes a list of items and gives as many answers, an exception where one item failed.

    Calls are answered in the order they were made, unless `max_sending` lets several batches travel at a time.
    `max_batch` bounds a batch, `max_waiting` the calls behind it: one more raises `full` at once. Should `send` raise
    an error of the kind `silent`, those behind would wait as long, one batch after the other: they get it too, unsent.
    """

    def __init__(  # noqa: PLR0913 - all but one by name
        self,
        send: Send[Item, Answer],
        *,
        max_batch: int = 64,
        max_waiting: int = 20_000,
        max_sending: int = 1,
        full: type[BookingQueueError] = BackendUnavailable,
        silent: type[Exception] | None = None,
    ):
        self._send = send
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._max_sending = max_sending
        self._full = full
        self._silent = silent
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._senders: set[asyncio.Task[None]] = set()
        self.batches = 0
        self.items = 0

    async def __call__(self, item: Item) -> Answer:
        return await self.submit(item)

    def submit(self, item: Item) -> asyncio.Future[Answer]:
        """The call without the wait. A future that is cancelled before its batch leaves is not sent."""
        if len(self._waiting) >= self._max_waiting:
            raise self._full(f"{self._max_waiting} calls wait for an answer already")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if len(self._senders) < self._max_sending:
            sender = asyncio.create_task(self._send_all())
            self._senders.add(sender)
        return answer

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                size = min(self._max_batch, len(self._waiting))
                batch = [self._waiting.popleft() for _ in range(size)]
                wanted = [(item, answer) for item, answer in batch if not answer.done()]
                if wanted:
                    await self._send_batch(wanted)
        finally:
            self._senders.discard(asyncio.current_task())

    async def _send_batch(self, batch: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        self.batches += 1
        self.items += len(batch)
        answers: Sequence[Answer | BaseException]
        try:
            answers = await self._send([item for item, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:
            if self._silent and isinstance(error, self._silent):
                batch = [*batch, *self._waiting]
                self._waiting.clear()
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)
