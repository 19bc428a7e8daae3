"""A broker in this process's memory: levels, due messages, leases, dead letters."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from booking_queue.clock import now_ms
from booking_queue.domain.errors import BackendUnavailable
from booking_queue.domain.job import Priority

FAIR_EVERY = 20  # starts: every so many a lower level goes first, so that none starves


@dataclass
class Message:
    raw: bytes
    level: Priority
    number: int
    deadline: float = 0  # of whoever has it in hand, on the loop's clock
    hand: int = 0  # counts whom it was given to


@dataclass
class MemoryBroker:
    """Shared by publishers and consumers. `up` False refuses everything, as a broker that is away does."""

    lease_seconds: float = 15
    up: bool = True
    levels: dict[Priority, deque[Message]] = field(default_factory=lambda: {level: deque() for level in Priority})
    due: list[tuple[int, int, Message]] = field(default_factory=list)
    in_hand: dict[int, Message] = field(default_factory=dict)
    dead: list[dict[str, Any]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    starts: int = 0

    def check(self) -> None:
        if not self.up:
            raise BackendUnavailable("the memory broker is down")

    def put(self, raw: bytes, level: Priority, not_before: int = 0) -> int:
        self.check()
        message = Message(raw, level, next(self.numbers))
        if not_before > now_ms():
            heapq.heappush(self.due, (not_before, message.number, message))
        else:
            self.levels[level].append(message)
        self.changed.set()
        return message.number

    def take(self) -> Message | None:
        self.check()
        self._bring_back()
        for level in self._order():
            if self.levels[level]:
                message = self.levels[level].popleft()
                message.deadline = asyncio.get_running_loop().time() + self.lease_seconds
                message.hand += 1
                self.in_hand[message.number] = message
                self.starts += 1
                return message
        return None

    def _order(self) -> list[Priority]:
        """Most urgent first; every FAIR_EVERY starts another level in turn has the first word."""
        turn, rest = divmod(self.starts + 1, FAIR_EVERY)
        order = list(Priority)
        first = order[-(turn % len(order))] if rest == 0 else order[0]
        return sorted(order, key=lambda level: (level is not first, level))

    def _bring_back(self) -> None:
        while self.due and self.due[0][0] <= now_ms():
            message = heapq.heappop(self.due)[2]
            self.levels[message.level].append(message)
        now = asyncio.get_running_loop().time()
        for message in [message for message in self.in_hand.values() if message.deadline < now]:
            self.give_back(message)

    def give_back(self, message: Message) -> None:
        if self.in_hand.pop(message.number, None):
            self.levels[message.level].appendleft(message)
            self.changed.set()

    def forget(self, job_id: str) -> None:
        """It waits for its time no more."""
        self.due = [row for row in self.due if job_id.encode() not in row[2].raw]
        heapq.heapify(self.due)

    def holds(self, message: Message, hand: int) -> bool:
        return message.number in self.in_hand and message.hand == hand
