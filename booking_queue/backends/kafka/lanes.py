"""All partitions in this consumer's hands, and which record starts next. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from aiokafka import TopicPartition

from booking_queue.backends.kafka.lane import Ahead, Lane
from booking_queue.backends.kafka.topics import Topics
from booking_queue.domain.job import Priority

FAIR_EVERY = 20  # starts: every so many a lower level goes first, so that none starves
LOWER = (Priority.LOW, Priority.NORMAL, Priority.HIGH)


class Lanes:
    def __init__(self, topics: Topics):
        self._levels = {topic: level for level, topic in topics.levels.items()}
        self._delays = topics.waits
        self._ahead = Ahead()
        self._lanes: dict[TopicPartition, Lane] = {}
        self._by_level: dict[Priority, list[Lane]] = {level: [] for level in Priority}
        self._retries: list[Lane] = []
        self._starts = 0

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def get(self, tp: TopicPartition) -> Lane | None:
        return self._lanes.get(tp)

    @property
    def owned(self) -> list[Lane]:
        return [lane for lane in self._lanes.values() if lane.owned]

    def gain(self, tps: Collection[TopicPartition]) -> None:
        """These are ours now, and no others."""
        for tp in tps:
            lane = self._lanes.get(tp) or self._lane(tp)
            lane.gain()
            self._lanes[tp] = lane
        for tp, lane in list(self._lanes.items()):
            if tp not in tps:
                lane.lose()
                if not lane.running:
                    del self._lanes[tp]
        self._sort()

    def _lane(self, tp: TopicPartition) -> Lane:
        return Lane(tp, self._levels.get(tp.topic), self._delays.get(tp.topic, 0), self._ahead)

    def halt(self, tps: Iterable[TopicPartition]) -> list[Lane]:
        """Nothing of these starts any more."""
        halted = [self._lanes[tp] for tp in tps if tp in self._lanes]
        for lane in halted:
            lane.halt()
        return halted

    def _sort(self) -> None:
        self._retries = [lane for lane in self._lanes.values() if lane.is_retry]
        for level in Priority:
            self._by_level[level] = [lane for lane in self._lanes.values() if self._levels.get(lane.tp.topic) is level]

    def pick(self, now_ms: int) -> tuple[Lane, Any] | None:
        """The record that takes the next free slot. None: nothing may start, or a higher level is still to be read."""
        turn, fair = divmod(self._starts + 1, FAIR_EVERY)
        retries = self._due_retries(now_ms)
        if fair == 0:
            first = LOWER[(turn - 1) % len(LOWER)]
            for level in (first, *reversed(Priority)):
                if found := self._first(level, retries, now_ms):
                    return found
            return None
        for level in Priority:
            if found := self._first(level, retries, now_ms):
                return found
            for lane in self._by_level[level]:
                if lane.may_have_more:
                    return None
        return None

    def _due_retries(self, now_ms: int) -> dict[Priority, tuple[Lane, Any]]:
        found: dict[Priority, tuple[Lane, Any]] = {}
        for lane in self._retries:
            if lane.queue and (record := lane.head(now_ms)):
                found.setdefault(lane.level(record), (lane, record))
        return found

    def _first(
        self, level: Priority, retries: dict[Priority, tuple[Lane, Any]], now_ms: int
    ) -> tuple[Lane, Any] | None:
        """A retry comes before new work of its level: it has waited longer. Partitions take turns."""
        if found := retries.get(level):
            self._taken(self._retries, found[0])
            return found
        for lane in self._by_level[level]:
            if lane.queue and (record := lane.head(now_ms)):
                self._taken(self._by_level[level], lane)
                return lane, record
        return None

    def _taken(self, lanes: list[Lane], lane: Lane) -> None:
        self._starts += 1
        if lanes[-1] is not lane:
            lanes.remove(lane)
            lanes.append(lane)

    def next_due(self) -> int | None:
        """When the next held retry is due."""
        return min((due for lane in self._retries if (due := lane.held_until()) is not None), default=None)
