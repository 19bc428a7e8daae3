"""One membership of the group: joins, reads ahead into the lanes, commits their watermarks, leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from booking_queue import logs
from booking_queue.backends.kafka.access import access
from booking_queue.backends.kafka.assignor import EvenSticky
from booking_queue.backends.kafka.closing import closed
from booking_queue.backends.kafka.lane import Lane
from booking_queue.backends.kafka.lanes import Lanes
from booking_queue.backends.kafka.ledger_time import LedgerTime
from booking_queue.backends.kafka.topics import Topics
from booking_queue.backends.kafka.unreadable import step_over
from booking_queue.settings import Settings
from booking_queue.tasks import end

POLL_MS = 500  # aiokafka asks a broker one thing at a time: a partition that is resumed may wait this long
COMMIT_SECONDS = 0.25  # between two commits
# A rebalance waits REBALANCE_MS for the living too: a heartbeat, REVOKE_SECONDS and two commits are within it.
REBALANCE_MS = 1200
HEARTBEAT_MS = 300
REVOKE_SECONDS = 0.4
COMMIT_LIMIT = 0.2
LEAVE_SECONDS = 3.0
UNREACHABLE_SECONDS = 1.0  # a partition that was not heard of for this long holds nobody back

log = logs.get("kafka")


class Member(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, settings: Settings, topics: Topics, client_id: str, lanes: Lanes, time: LedgerTime):
        self._topics = topics
        self._lanes = lanes
        self._time = time
        self._loop = asyncio.get_running_loop()
        self._paused: set[TopicPartition] = set()
        self._gained_at = 0.0
        self._committing: asyncio.Task[bool] | None = None
        self._dirty = asyncio.Event()
        self._finished = asyncio.Event()
        self.wake = asyncio.Event()
        self.consumer: Any = AIOKafkaConsumer(
            **access(settings),
            client_id=client_id,
            group_id=topics.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # The assignor keeps its memory on the class: each member needs a class of its own.
            partition_assignment_strategy=(type("Sticky", (EvenSticky,), {}),),
            # The least that a broker allows by default: a second death just before a rebalance costs this once more,
            # and both together stay below a lease. A worker that merely stalls loses its partitions, no more.
            session_timeout_ms=6000,
            heartbeat_interval_ms=HEARTBEAT_MS,
            # A dead worker holds up a rebalance for as long as this, and nobody reads meanwhile; so does the next that
            # dies in it.
            rebalance_timeout_ms=REBALANCE_MS,
            request_timeout_ms=9000,  # a join may take as long as a rebalance
            fetch_max_wait_ms=POLL_MS,
            max_partition_fetch_bytes=256 * 1024,
            fetch_max_bytes=2 * 1024 * 1024,
            metadata_max_age_ms=5000,
        )

    async def join(self) -> None:
        """Returns when the group has given us our partitions; waits for the topics to exist."""
        self.consumer.subscribe(list(self._topics.consumed), listener=self)
        await self.consumer.start()

    # What the group tells us

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """What runs goes on under its lease in the ledger; whoever gets the partition waits for it there."""
        halted = self._lanes.halt(revoked)
        if halted:
            await self._commit_now(halted)
            await self._finishing(halted)
            await self._commit_now(halted)
        for lane in halted:
            lane.lose()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._paused.clear()
        self._gained_at = self._loop.time()
        self._lanes.gain(set(assigned))
        log.event("kafka_partitions", count=len(self._lanes.owned))
        self.wake.set()

    async def _finishing(self, lanes: list[Lane]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(REVOKE_SECONDS):
                while any(lane.running for lane in lanes):
                    self._finished.clear()
                    await self._finished.wait()

    # Reading ahead

    async def poll(self) -> None:
        """Until cancelled. Takes all that was fetched at once, so that levels are compared over everything at hand."""
        while True:
            batches = await self._fetched()
            now, now_ms = self._loop.time(), self._time.now_ms()
            for tp, records in batches.items():
                lane = self._lanes.get(tp)
                if lane is None or not lane.owned:  # the assignment is newer than what we were told
                    self.consumer.seek(tp, records[0].offset)
                    continue
                for record in records:
                    lane.take(record, now_ms)
            for lane in self._lanes.owned:
                await self._look_ahead(lane, now)
                self.regulate(lane)
            self.wake.set()
            await asyncio.sleep(0)

    async def _fetched(self) -> dict[TopicPartition, list[Any]]:
        try:
            found: dict[TopicPartition, list[Any]] = await self.consumer.getmany(timeout_ms=POLL_MS)
        except KafkaError:
            raise
        except Exception:
            await step_over(self.consumer, self._lanes, self._time.now_ms())
            return {}
        return found

    async def _look_ahead(self, lane: Lane, now: float) -> None:
        with suppress(IllegalStateError):
            end = self.consumer.highwater(lane.tp)
            if end is None:
                lane.unread = now - self._gained_at < UNREACHABLE_SECONDS
                return
            at = lane.read_to
            if at is None or at < end:
                at = await self.consumer.position(lane.tp)  # an offset without a record gives us none to take
                if lane.passed(at):
                    self._dirty.set()
            lane.unread = at < end

    def regulate(self, lane: Lane) -> None:
        """Pauses or resumes a partition. A paused one goes on being ours: the group hears from us all the same."""
        pause = lane.should_pause(self._time.now_ms())
        if pause == (lane.tp in self._paused):
            return
        with suppress(IllegalStateError):
            (self.consumer.pause if pause else self.consumer.resume)(lane.tp)
            (self._paused.add if pause else self._paused.discard)(lane.tp)

    def started(self, lane: Lane) -> None:
        """Something of this lane runs."""
        if lane.full or lane.tp in self._paused:
            self.regulate(lane)

    def paused(self, lane: Lane) -> bool:
        return lane.tp in self._paused

    # Committing

    def finished(self, lane: Lane) -> None:
        """Something of this lane has ended."""
        self._finished.set()
        self._dirty.set()
        if lane.tp in self._paused and lane.owned:
            self.regulate(lane)
        self.wake.set()

    async def commit_as_it_goes(self) -> None:
        """Until cancelled. At low load at once, under load a few times a second."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            # Without a limit: while Kafka is away this waits, and there is nothing newer to commit.
            self._committing = asyncio.create_task(self._commit(self._lanes.owned))
            await asyncio.wait({self._committing})
            if self._committing.cancelled() or not self._committing.result():
                self._dirty.set()
            await asyncio.sleep(COMMIT_SECONDS)

    async def _commit_now(self, lanes: list[Lane]) -> None:
        """Before the partitions go. A commit under way must not come after the next owner's: it is given up."""
        if self._committing:
            await end(self._committing)
        with suppress(TimeoutError):
            async with asyncio.timeout(COMMIT_LIMIT):
                await self._commit(lanes)

    async def _commit(self, lanes: list[Lane]) -> bool:
        """False: not this time. A commit lost costs a second delivery, which the ledger folds."""
        marks = [(lane, mark) for lane in lanes if (mark := lane.watermark) is not None and mark > lane.committed]
        if not marks:
            return True
        try:
            await self.consumer.commit({lane.tp: mark for lane, mark in marks})
        except (KafkaError, OSError, TimeoutError):
            return False
        for lane, mark in marks:
            lane.committed = mark
        return True

    # The end

    async def leave(self, halted: list[Lane]) -> None:
        """Within a few seconds, whatever Kafka does."""
        await self._commit_now(halted)
        if not await closed(self.consumer.stop(), LEAVE_SECONDS):
            await self.kill()

    async def kill(self) -> None:
        """As a crash does: the group is not told."""
        consumer = self.consumer
        coordinator, fetcher = consumer._coordinator, consumer._fetcher
        tasks = [
            getattr(coordinator, f"_{name}_task", None) for name in ("coordination", "heartbeat", "commit_refresh")
        ]
        tasks += [getattr(fetcher, "_fetch_task", None), *getattr(fetcher, "_pending_tasks", ())]
        left = {task for task in tasks if task is not None and not task.done()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=LEAVE_SECONDS)
        consumer._closed = True  # or it warns that it was never stopped
        await closed(consumer._client.close(), LEAVE_SECONDS)
