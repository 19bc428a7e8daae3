"""Which topics there are, and how each is made."""

from __future__ import annotations

from dataclasses import dataclass

from booking_queue.domain.job import Priority
from booking_queue.domain.retry import JITTER_MS, MAX_DELAY_MS
from booking_queue.settings import Settings

PARTITIONS = 3
RETRY_DELAYS_S = (1, 2, 4, 8, 16, 30)
MAX_LETTER_BYTES = 2 * 1024 * 1024  # the largest message a broker takes by default, and our headers


@dataclass(frozen=True, slots=True)
class TopicSpec:
    name: str
    partitions: int
    configs: dict[str, str]


class Topics:
    """A message is read by its level's topic, from a retry topic after its fixed delay, or kept in the dead topic."""

    def __init__(self, settings: Settings):
        self.main = f"{settings.name_prefix}booking-events"
        self.group = f"{settings.name_prefix}booking-workers"
        self.levels = {level: self.main + level.suffix for level in Priority}
        self.retries = {seconds: f"{self.main}-retry-{seconds}s" for seconds in RETRY_DELAYS_S}
        self.waits = {topic: _waits(seconds) for seconds, topic in self.retries.items()}
        self.dead = f"{self.main}-dlq"
        self.consumed = (*self.levels.values(), *self.retries.values())
        self.all = (*self.consumed, self.dead)
        self._retention_ms = settings.ledger_retention * 1000

    def kind(self, topic: str) -> str:
        if topic == self.dead:
            return "dead"
        return "retry" if topic in self.waits else "level"

    def retry_for(self, wait_ms: int) -> tuple[str, int] | None:
        """The retry topic that waits at least that long, and how long it waits; None if none does."""
        for topic, waits in self.waits.items():
            if wait_ms <= waits:
                return topic, waits
        return None

    def specs(self) -> list[TopicSpec]:
        """A message lives for `retention.ms` after its segment was closed, so both together are LEDGER_RETENTION:
        whatever is still readable has its record in the ledger."""
        segment = self._retention_ms // 8
        age = {"retention.ms": str(self._retention_ms - segment), "segment.ms": str(segment)}
        letters = age | {"max.message.bytes": str(MAX_LETTER_BYTES)}
        return [
            *(TopicSpec(topic, PARTITIONS, age) for topic in self.consumed),
            TopicSpec(self.dead, 1, letters),
        ]


def _waits(seconds: int) -> int:
    """ms, with the longest jitter: two seconds and some would else wait in the topic of four."""
    return min(seconds * 1000 + JITTER_MS, MAX_DELAY_MS)
