"""One partition in this consumer's hands: what was read, what runs, and how far it may be committed. No I/O."""

from __future__ import annotations

import heapq
from collections import deque
from typing import Any

from aiokafka import TopicPartition

from booking_queue.domain.job import Priority

MAX_IN_FLIGHT = 100
BACKLOG_FULL = 5000  # records read ahead: then the partition is paused
BACKLOG_LOW = 2500
# The same for their bytes, over all partitions. One that has read ahead less than its own share is read all the same:
# none stands still for what others hold.
AHEAD_BYTES = 16 * 1024 * 1024
AHEAD_BYTES_LOW = 8 * 1024 * 1024
OWN_BYTES = 1024 * 1024

LEVELS = {level.name.lower(): level for level in Priority}


class Ahead:
    """What all partitions of one consumer have read ahead."""

    def __init__(self) -> None:
        self.bytes = 0


class Lane:
    """Records of one key run one after the other. The watermark is the first offset that is not done yet: everything
    below it may be committed, and nothing above.

    A lane outlives the loss of its partition for as long as something of it runs here: should the partition come
    back, what runs is not started a second time.
    """

    def __init__(self, tp: TopicPartition, level: Priority | None, delay_ms: int = 0, ahead: Ahead | None = None):
        self.tp = tp
        self._level = level  # None: a retry topic, where each record has its own
        self._delay_ms = delay_ms
        self.owned = False
        self.committed = -1
        self.unread = True  # the broker may hold records that we have not read yet
        self.running: dict[int, Any] = {}
        self.queue: deque[Any] = deque()
        self._behind_key: dict[bytes, deque[Any]] = {}  # by each key that runs: what waits for it
        self._behind = 0
        self._ahead = ahead or Ahead()
        self.bytes = 0  # of `backlog`
        self._due: dict[int, int] = {}
        self._open: set[int] = set()
        self._offsets: list[int] = []  # a heap of them, with some that are done
        self._next: int | None = None  # after the last record taken since the partition became ours
        self._read_enough = False

    @property
    def is_retry(self) -> bool:
        return self._level is None

    @property
    def full(self) -> bool:
        return len(self.running) >= MAX_IN_FLIGHT

    @property
    def may_have_more(self) -> bool:
        """Whether waiting a moment may bring a record of it that could start."""
        return self.unread and self.owned and not self.full

    @property
    def read_to(self) -> int | None:
        return self._next

    @property
    def backlog(self) -> int:
        return len(self.queue) + self._behind

    @property
    def watermark(self) -> int | None:
        """The offset to commit; None while nothing is known."""
        while self._offsets and self._offsets[0] not in self._open:
            heapq.heappop(self._offsets)
        if self._next is None:
            return None
        return min(self._next, self._offsets[0]) if self._offsets else self._next

    def gain(self) -> None:
        self.owned, self.unread = True, True
        self._drop()

    def halt(self) -> None:
        """Nothing more of it starts; what it may commit is still known."""
        self.owned = False

    def lose(self) -> None:
        self.owned = False
        self._drop()

    def _drop(self) -> None:
        """What was read and not started is no longer ours, or will be read again."""
        self.committed, self._next, self._read_enough = -1, None, False
        self.queue.clear()
        for waiting in self._behind_key.values():
            waiting.clear()
        self._behind = 0
        self._weigh(-self.bytes)
        self._due.clear()
        self._open = set(self.running)
        self._offsets = sorted(self._open)

    def take(self, record: Any, now_ms: int) -> None:
        """In the order of the log. One that runs here already is not started again. No retry waits for longer than
        its topic's delay from now, whatever it says."""
        if self._next is None:
            self.committed = record.offset
        elif record.offset < self._next:
            return
        self._next = record.offset + 1
        if record.offset in self.running:
            return
        if self.is_retry:
            self._due[record.offset] = min(not_before(record), now_ms + self._delay_ms)
        self._open.add(record.offset)
        heapq.heappush(self._offsets, record.offset)
        self.queue.append(record)
        self._weigh(_size(record))

    def passed(self, offset: int) -> bool:
        """Everything below it was read, be it that nothing is there: a transaction's marker, what compaction took. Says
        whether that is news."""
        if self._next is None and self.running:
            return False  # what another owner has committed meanwhile is not known before a record comes
        if self._next is not None and self._next >= offset:
            return False
        self._next = offset
        return True

    def _weigh(self, more: int) -> None:
        self.bytes += more
        self._ahead.bytes += more

    def head(self, now_ms: int) -> Any | None:
        """What may start now, if anything may."""
        if not self.owned or self.full:
            return None
        while self.queue:
            record = self.queue[0]
            behind = self._behind_key.get(record.key) if record.key else None
            if behind is None:
                return None if self._due.get(record.offset, 0) > now_ms else record
            behind.append(self.queue.popleft())
            self._behind += 1
        return None

    def level(self, record: Any) -> Priority:
        if self._level is not None:
            return self._level
        return LEVELS.get(_header(record, "priority").decode(errors="replace"), Priority.NORMAL)

    def held_until(self) -> int | None:
        """When the head of a retry lane is due; None if nothing waits for its time."""
        return self._due.get(self.queue[0].offset) if self.queue else None

    def start(self, record: Any) -> None:
        """The head."""
        self.queue.popleft()
        self._weigh(-_size(record))
        self._due.pop(record.offset, None)
        self.running[record.offset] = record
        if record.key:
            self._behind_key[record.key] = deque()

    def finish(self, record: Any, done: bool) -> None:
        """Not done: it is ours to start again, before what waited for it."""
        self.running.pop(record.offset, None)
        waiting = self._behind_key.pop(record.key, deque()) if record.key else deque()
        self._behind -= len(waiting)
        if done:
            self._open.discard(record.offset)
        elif self.owned and self._next is not None and record.offset < self._next:
            waiting.appendleft(record)
            self._weigh(_size(record))
        elif self.owned:
            self._open.discard(record.offset)  # the partition went and came back: it is read again, if need be
        self.queue.extendleft(reversed(waiting))

    def should_pause(self, now_ms: int) -> bool:
        """Whether reading on would only fill memory."""
        most, most_bytes = (BACKLOG_LOW, AHEAD_BYTES_LOW) if self._read_enough else (BACKLOG_FULL, AHEAD_BYTES)
        heavy = self.bytes >= OWN_BYTES and self._ahead.bytes >= most_bytes
        self._read_enough = self.backlog >= most or heavy
        held = self.held_until()
        return self._read_enough or self.full or (held is not None and held > now_ms)


def _size(record: Any) -> int:
    own = len(record.value or b"") + len(record.key or b"")
    return own + sum(len(name) + len(value or b"") for name, value in record.headers)


def not_before(record: Any) -> int:
    try:
        return int(_header(record, "not-before") or 0)
    except ValueError:
        return 0


def _header(record: Any, name: str) -> bytes:
    for key, value in record.headers:
        if key == name:
            return bytes(value or b"")
    return b""
