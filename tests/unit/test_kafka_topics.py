"""Names, delays and ages of the topics; where a dead letter says it came from."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from booking_queue.backends.kafka.letters import Origin
from booking_queue.backends.kafka.topics import Topics
from booking_queue.domain.job import Priority
from booking_queue.settings import Settings

TOPICS = Topics(Settings(name_prefix="x-", ledger_retention=172_800))


def test_every_name_has_the_prefix() -> None:
    assert TOPICS.levels == {
        Priority.CRITICAL: "x-booking-events-critical",
        Priority.HIGH: "x-booking-events-high",
        Priority.NORMAL: "x-booking-events",
        Priority.LOW: "x-booking-events-low",
    }
    assert list(TOPICS.retries.values()) == [f"x-booking-events-retry-{s}s" for s in (1, 2, 4, 8, 16, 30)]
    assert (TOPICS.dead, TOPICS.group) == ("x-booking-events-dlq", "x-booking-workers")
    assert {spec.name for spec in TOPICS.specs()} == set(TOPICS.all)


@pytest.mark.parametrize(
    ("wait", "delay"),
    [
        (0, 1500),
        (1000, 1500),
        (1500, 1500),
        (1501, 2500),
        (2499, 2500),
        (16_501, 30_000),
        (30_000, 30_000),
        (30_001, None),
    ],
)
def test_the_smallest_delay_that_is_long_enough(wait: int, delay: int | None) -> None:
    found = TOPICS.retry_for(wait)
    assert found == ((TOPICS.retries[delay // 1000], delay) if delay else None)


def test_no_message_outlives_its_record() -> None:
    for spec in TOPICS.specs():
        assert int(spec.configs["retention.ms"]) + int(spec.configs["segment.ms"]) <= 172_800_000
        assert spec.partitions == (1 if spec.name == TOPICS.dead else 3)


@dataclass
class Record:
    topic: str
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)
    partition: int = 1
    offset: int = 5
    key: bytes | None = b"k"
    value: bytes | None = b"v"


PLACE: list[tuple[str, bytes | None]] = [
    ("original-topic", b"first"),
    ("original-partition", b"2"),
    ("original-offset", b"7"),
]


def test_a_retry_came_from_where_it_was_first() -> None:
    origin = Origin.of(Record(TOPICS.retries[4], PLACE), TOPICS)
    assert (origin.topic, origin.partition, origin.offset) == ("first", 2, 7)


@pytest.mark.parametrize(
    "record",
    [
        Record(TOPICS.retries[4], [("original-topic", b"first"), ("original-partition", b"two")]),
        Record(TOPICS.retries[4], [("original-topic", b"first")]),
        Record(TOPICS.retries[4], [(name, None) for name, _ in PLACE]),
        Record(TOPICS.retries[4]),
        Record(TOPICS.main, PLACE),
    ],
)
def test_what_cannot_be_believed_is_not_taken_over(record: Record) -> None:
    origin = Origin.of(record, TOPICS)
    assert (origin.topic, origin.partition, origin.offset) == (record.topic, 1, 5)
