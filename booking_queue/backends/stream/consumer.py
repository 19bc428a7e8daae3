"""Reads the streams: as many entries as there are free slots, the most urgent level first."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from booking_queue import logs
from booking_queue.backends.base import Handle
from booking_queue.backends.slots import Slots
from booking_queue.backends.stream.delivery import Entry, StreamDelivery
from booking_queue.backends.stream.names import Names
from booking_queue.backends.stream.tender import Tender
from booking_queue.backends.stream.waker import Waker
from booking_queue.domain.errors import BookingQueueError, LedgerUnavailable, UnreadableMessage
from booking_queue.domain.job import Backend
from booking_queue.ledger.script import Answer, Scripts
from booking_queue.settings import Settings
from booking_queue.tasks import end, unless

FAIR_EVERY = 20  # starts: every so many a lower level goes first, so that none starves
LOOK_SECONDS = 1.0  # between two looks at what others let lie
PAUSE_SECONDS = 0.5
LEAVE_SECONDS = 3.0

log = logs.get("streams")


class StreamConsumer:
    backend = Backend.STREAMS

    def __init__(self, settings: Settings, scripts: Scripts, worker_id: str):
        self._scripts = scripts
        self._name = worker_id
        self._running: dict[str, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._waker = Waker(settings, Names(settings), self._wake)
        self._tender = Tender(settings, scripts)
        self._look_every = min(LOOK_SECONDS, settings.lease_seconds / 10)
        self._look_at = 0.0
        self._recover = True  # entries delivered to us may not have reached us
        self._starts = 0

    async def open(self) -> None:
        with suppress(LedgerUnavailable):
            await self._scripts.call("stream_open")

    async def close(self) -> None:
        await self._waker.close()

    def _wake(self, besides: bool) -> None:
        if besides:
            self._look_at = 0.0
            self._tender.poke()
        self._woken.set()

    def details(self) -> dict[str, Any]:
        return {}

    async def run(self, handle: Handle, slots: Slots, stop: asyncio.Event) -> None:
        self._recover = True
        background = [asyncio.create_task(each) for each in (self._waker.run(), self._tender.run())]
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                await self._turn(handle, slots, stopped)
            while self._running:
                await asyncio.wait(set(self._running.values()))
            await self._leave()
        finally:
            await end(*background, stopped)

    async def _turn(self, handle: Handle, slots: Slots, stopped: asyncio.Task[Any]) -> None:
        free = slots.free or await unless(stopped, slots.available())
        if not free:
            return
        self._woken.clear()
        try:
            entries, drained = await self._take(free)
            await self._start(entries, handle, slots, stopped)
        except BookingQueueError as error:
            log.warning("streams_unavailable", why=str(error))
            self._recover = True
            await unless(stopped, asyncio.sleep(PAUSE_SECONDS * (0.5 + random.random())))
            return
        if drained:
            await unless(stopped, self._until_woken())

    async def _until_woken(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._look_at):
                await self._woken.wait()

    async def _take(self, free: int) -> tuple[list[Entry], bool]:
        """What is to start now, and whether nothing more is waiting."""
        now = asyncio.get_running_loop().time()
        look = now >= self._look_at
        if look:
            self._look_at = now + self._look_every * (0.75 + random.random() / 2)
        fair = (self._starts % FAIR_EVERY + free) // FAIR_EVERY
        here = self._running if look or self._recover else ()
        answer = await self._scripts.call("stream_take", self._name, free, fair, int(self._recover), int(look), *here)
        entries = [Entry.of(raw) for raw in answer[0]]
        self._learn(answer)
        return entries, bool(answer[1])

    def _learn(self, answer: Answer) -> None:
        _, tops, vanished, recreated, more, recover = answer
        self._recover = bool(recover)
        if tops:
            self._waker.wait_from(tops)
        if more:
            self._look_at = 0.0
        if vanished:
            log.error("pending_entries_deleted", entries=[place.decode() for place in vanished])
        if recreated:
            log.error("groups_recreated", count=recreated)

    async def _start(self, entries: list[Entry], handle: Handle, slots: Slots, stopped: asyncio.Task[Any]) -> None:
        settled: list[Coroutine[Any, Any, Any]] = []
        for entry in entries:
            if entry.place in self._running:
                continue
            try:
                envelope = entry.envelope()
            except UnreadableMessage as error:
                settled.append(self._bury(entry, str(error)))
                continue
            delivery = StreamDelivery(entry, envelope, self._scripts, self._name)
            if stopped.done():
                settled.append(delivery.release(None))
                continue
            self._starts += 1
            task = self._running[entry.place] = slots.start(handle(delivery))
            task.add_done_callback(partial(self._finished, entry))
        if settled:
            await asyncio.gather(*settled)

    async def _bury(self, entry: Entry, why: str) -> None:
        message_id, kind, data = entry.for_dead_letter()
        log.warning("unreadable_message", stream=entry.stream, streamId=entry.id, why=why)
        await self._scripts.call(
            "stream_bury", entry.stream, entry.id, message_id, kind, data, f"unreadable message: {why}"
        )

    def _finished(self, entry: Entry, task: asyncio.Task[None]) -> None:
        del self._running[entry.place]
        if not task.cancelled() and task.exception():
            log.error("handler_failed", exc=task.exception(), streamId=entry.id)

    async def _leave(self) -> None:
        with suppress(TimeoutError, BookingQueueError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._scripts.call("stream_leave", self._name)
