"""Runs jobs from Kafka: one membership of the group at a time, replaced when it fails or stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from aiokafka.errors import KafkaError

from booking_queue import logs
from booking_queue.backends.base import Handle
from booking_queue.backends.envelope import Envelope
from booking_queue.backends.kafka.cluster import Cluster
from booking_queue.backends.kafka.delivery import KafkaDelivery, bury_raw
from booking_queue.backends.kafka.lane import Lane
from booking_queue.backends.kafka.lanes import Lanes
from booking_queue.backends.kafka.ledger_time import LedgerTime
from booking_queue.backends.kafka.letters import Origin
from booking_queue.backends.kafka.member import Member
from booking_queue.backends.kafka.outbound import Outbound
from booking_queue.backends.kafka.sender import Sender
from booking_queue.backends.kafka.topics import Topics
from booking_queue.backends.kafka.unreadable import Unreadable
from booking_queue.backends.kafka.watchdog import Watchdog
from booking_queue.backends.slots import Slots
from booking_queue.domain.errors import UnreadableMessage
from booking_queue.domain.job import Backend
from booking_queue.ledger.ledger import Ledger
from booking_queue.settings import Settings
from booking_queue.tasks import end, unless

JOIN_SECONDS = 30.0
AGAIN_SECONDS = 1.0
LAST_SECONDS = 1.0  # for what runs, before a stopping worker leaves the group: nobody reads its partitions until then
RETURN_SECONDS = 0.2  # before a record that came back unsettled is started again

log = logs.get("kafka")


class KafkaConsumer:
    backend = Backend.KAFKA

    def __init__(self, settings: Settings, ledger: Ledger, worker_id: str):
        self._settings = settings
        self._ledger = ledger
        self._client_id = worker_id
        self._topics = Topics(settings)
        self._lanes = Lanes(self._topics)
        self._time = LedgerTime(ledger)
        self._sender = Sender(settings, worker_id)
        self._outbound = Outbound(ledger, self._topics, self._sender)
        self._cluster = Cluster(settings, self._topics, f"{worker_id}-watchdog")
        self.watchdog = Watchdog(self._cluster, self._topics, self._lanes, worker_id)
        self._member: Member | None = None
        self._leaving: asyncio.Task[None] | None = None  # one that came to nothing
        self._stopping = False

    def details(self) -> dict[str, Any]:
        """`partitions`: what the group has given it, topic/partition."""
        partitions = sorted(f"{lane.tp.topic}/{lane.tp.partition}" for lane in self._lanes.owned)
        return {"partitions": partitions, "rebuilds": self.watchdog.rebuilds}

    async def open(self) -> None:
        self._sender.open()

    async def close(self) -> None:
        member, self._member = self._member, None
        if member:
            await member.leave([])
        await self._left()
        await self._cluster.close()
        await self._sender.close()

    async def vanish(self) -> None:
        """As a crash does: the group finds out by itself."""
        member, self._member = self._member, None
        if member:
            await member.kill()
        await self._cluster.close()
        await self._sender.close()

    async def run(self, handle: Handle, slots: Slots, stop: asyncio.Event) -> None:
        stopped = asyncio.create_task(stop.wait())
        ticking = asyncio.create_task(self._time.run())
        self._stopping = False
        try:
            while not stop.is_set():
                await self._until(stopped, self._join())
                if stop.is_set() or self._member is None:
                    continue
                committing = asyncio.create_task(self._member.commit_as_it_goes())
                try:
                    await self._until(stopped, self._serve(self._member, handle, slots))
                    self._stopping = stop.is_set()
                    if self._stopping:
                        await self._most_are_done(slots)
                finally:
                    committing.cancel()
                await self._leave()
            self._stopping = True
            await slots.drained()
            await self._leave()
        finally:
            for task in (stopped, ticking):
                task.cancel()

    async def _most_are_done(self, slots: Slots) -> None:
        """Those are committed. What runs longer goes on under its lease, while its partition is another's already."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await slots.drained()

    async def _until(self, stopped: asyncio.Task[Any], work: Coroutine[Any, Any, None]) -> None:
        try:
            await unless(stopped, work)
        except asyncio.CancelledError:
            self._stopping = True
            raise

    async def _join(self) -> None:
        """Again and again, while Kafka or its topics are away."""
        away = False
        while self._member is None:
            member = Member(self._settings, self._topics, self._client_id, self._lanes, self._time)
            try:
                async with asyncio.timeout(JOIN_SECONDS):
                    await member.join()
                self._member = member
            except (KafkaError, OSError, TimeoutError) as error:
                if not away:
                    log.warning("kafka_not_joined", why=f"{type(error).__name__}: {error}"[:300])
                away = True
            finally:
                if self._member is None:
                    self._leaving = asyncio.create_task(member.leave([]))
            await self._left()
            await asyncio.sleep(0 if self._member else AGAIN_SECONDS)

    async def _left(self) -> None:
        if self._leaving:
            await asyncio.wait({self._leaving})

    async def _leave(self) -> None:
        member, self._member = self._member, None
        if member:
            halted = self._lanes.halt([lane.tp for lane in self._lanes.owned])
            await member.leave(halted)
            self._lanes.gain(())

    async def _serve(self, member: Member, handle: Handle, slots: Slots) -> None:
        """Returns when this member is of no more use."""
        background = [member.poll(), self._start(member, handle, slots), self.watchdog.run(member)]
        tasks = [asyncio.create_task(each) for each in background]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done() and (error := task.exception()):
                    log.warning("kafka_consumer_failed", why=f"{type(error).__name__}: {error}"[:300])
                    await asyncio.sleep(AGAIN_SECONDS)
        finally:
            await end(*tasks)

    async def _start(self, member: Member, handle: Handle, slots: Slots) -> None:
        while True:
            await slots.available()
            now_ms = self._time.now_ms()
            found = self._lanes.pick(now_ms)
            if found:
                lane, record = found
                lane.start(record)
                member.started(lane)
                slots.start(self._run(lane, record, handle))
                continue
            member.wake.clear()
            due = self._lanes.next_due()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(0, due - now_ms) / 1000 + 0.001):
                    await member.wake.wait()

    async def _run(self, lane: Lane, record: Any, handle: Handle) -> None:
        done = False
        try:
            done = await self._handle(lane, record, handle)
            if not done and lane.owned and not self._stopping:
                await asyncio.sleep(RETURN_SECONDS)
        except asyncio.CancelledError:
            if self._stopping:
                raise  # left as it is: whoever gets the partition reads the record again
        except Exception as error:
            log.error("record_failed", topic=record.topic, partition=record.partition, offset=record.offset, exc=error)
        lane.finish(record, done)
        if self._member:
            self._member.finished(lane)

    async def _handle(self, lane: Lane, record: Any, handle: Handle) -> bool:
        def ours() -> bool:
            return lane.owned and not self._stopping

        def origin() -> Origin:
            return Origin.of(record, self._topics)

        if isinstance(record, Unreadable):
            return await bury_raw(self._outbound, origin(), f"unreadable: {record.reason}", ours)
        try:
            envelope = Envelope.load(record.value or b"")
        except UnreadableMessage as error:
            return await bury_raw(self._outbound, origin(), f"unreadable: {error}", ours)
        delivery = KafkaDelivery(envelope, origin, self._ledger, self._outbound, ours)
        await handle(delivery)
        return delivery.done
