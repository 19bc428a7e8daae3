"""One partition's bookkeeping, without a Kafka."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition

from booking_queue.backends.kafka.lane import (
    AHEAD_BYTES,
    AHEAD_BYTES_LOW,
    BACKLOG_FULL,
    BACKLOG_LOW,
    MAX_IN_FLIGHT,
    Lane,
)
from booking_queue.domain.job import Priority

TP = TopicPartition("booking-events", 0)
NOW_MS = 1_000_000


@dataclass
class Rec:
    offset: int
    key: bytes | None = None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    value: bytes | None = None


def lane_with(offsets: Any, **more: Any) -> Lane:
    lane = Lane(TP, Priority.NORMAL)
    lane.gain()
    for offset in offsets:
        lane.take(Rec(offset, **more), NOW_MS)
    return lane


def start(lane: Lane, now_ms: int = NOW_MS) -> Any:
    record = lane.head(now_ms)
    assert record is not None
    lane.start(record)
    return record


def test_only_what_is_done_without_a_gap_may_be_committed() -> None:
    lane = lane_with(range(10, 14))
    assert lane.watermark == 10
    first, second, third = start(lane), start(lane), start(lane)
    lane.finish(third, True)
    lane.finish(second, True)
    assert lane.watermark == 10, "10 still runs: nothing above it may be committed"
    lane.finish(first, True)
    assert lane.watermark == 13
    lane.finish(start(lane), True)
    assert lane.watermark == 14


def test_nothing_is_committed_before_anything_was_read() -> None:
    assert lane_with([]).watermark is None


def test_gaps_in_the_log_hold_nothing_up() -> None:
    lane = lane_with([3, 7, 8])
    for _ in range(3):
        lane.finish(start(lane), True)
    assert lane.watermark == 9


def test_offsets_without_a_record_are_done_once_they_were_passed() -> None:
    lane = lane_with([])
    assert lane.passed(3) and lane.watermark == 3
    lane.take(Rec(3), NOW_MS)
    assert not lane.passed(4)
    assert lane.passed(6) and lane.read_to == 6
    assert lane.watermark == 3, "3 is not done"
    lane.finish(start(lane), True)
    assert lane.watermark == 6


def test_what_runs_from_before_the_partition_went_holds_no_commit_back_behind_another_owners() -> None:
    lane = lane_with([5])
    ghost = start(lane)
    lane.lose()
    lane.gain()
    assert not lane.passed(9)
    assert lane.watermark is None
    lane.finish(ghost, True)
    assert lane.passed(9) and lane.watermark == 9


def test_what_comes_back_unsettled_is_started_again_before_the_rest() -> None:
    lane = lane_with([1, 2, 3])
    first = start(lane)
    lane.finish(first, False)
    assert lane.watermark == 1
    assert start(lane) is first


def test_records_of_one_key_run_one_after_the_other() -> None:
    lane = lane_with([])
    for offset, key in enumerate([b"a", b"a", b"b", b"a", None, None]):
        lane.take(Rec(offset, key), NOW_MS)
    started = [start(lane) for _ in range(4)]
    assert [record.offset for record in started] == [0, 2, 4, 5]
    assert lane.head(NOW_MS) is None
    assert lane.backlog == 2
    lane.finish(started[0], False)
    again = start(lane)
    assert again.offset == 0, "unsettled, it comes before the others of its key"
    assert lane.head(NOW_MS) is None
    lane.finish(again, True)
    assert start(lane).offset == 1
    assert lane.head(NOW_MS) is None
    assert lane.backlog == 1


def test_a_lost_partition_starts_nothing_but_may_still_commit() -> None:
    lane = lane_with([5, 6, 7])
    record = start(lane)
    lane.halt()
    assert lane.head(NOW_MS) is None
    lane.finish(record, True)
    assert lane.watermark == 6
    lane.lose()
    assert lane.watermark is None
    assert lane.backlog == 0


def test_halted_and_unsettled_holds_the_watermark() -> None:
    lane = lane_with([5, 6])
    first, second = start(lane), start(lane)
    lane.halt()
    lane.finish(first, False)
    lane.finish(second, True)
    assert lane.watermark == 5


def test_what_runs_is_not_started_twice_when_the_partition_comes_back() -> None:
    lane = lane_with([5, 6, 7])
    running = start(lane)
    lane.lose()
    lane.gain()
    for offset in (5, 6, 7):
        lane.take(Rec(offset), NOW_MS)
    assert start(lane).offset == 6
    assert lane.watermark == 5
    lane.finish(running, True)
    assert lane.watermark == 6


def test_unsettled_after_the_partition_came_back_but_before_it_was_read_again() -> None:
    lane = lane_with([5])
    running = start(lane)
    lane.lose()
    lane.gain()
    lane.finish(running, False)
    lane.take(Rec(5), NOW_MS)
    assert start(lane).offset == 5


def test_another_owner_has_committed_further_meanwhile() -> None:
    lane = lane_with([5, 6])
    ghost = start(lane)
    lane.lose()
    lane.gain()
    lane.take(Rec(9), NOW_MS)
    assert lane.committed == 9, "our own mark, 5, is behind that and is not worth a commit"
    lane.finish(start(lane), True)
    lane.finish(ghost, True)
    assert lane.watermark == 10


def test_what_was_read_twice_counts_once() -> None:
    lane = lane_with([1, 2, 1, 2, 3])
    assert [start(lane).offset for _ in range(3)] == [1, 2, 3]
    assert lane.head(NOW_MS) is None


def test_a_partition_is_paused_at_a_hundred_in_flight() -> None:
    lane = lane_with(range(MAX_IN_FLIGHT + 5))
    for _ in range(MAX_IN_FLIGHT - 1):
        start(lane)
    assert not lane.should_pause(NOW_MS)
    last = start(lane)
    assert lane.should_pause(NOW_MS)
    assert lane.head(NOW_MS) is None
    assert not lane.may_have_more, "it holds no lower level back"
    lane.finish(last, True)
    assert not lane.should_pause(NOW_MS)
    assert lane.head(NOW_MS) is not None


def test_reading_ahead_is_bounded_also_behind_one_key() -> None:
    lane = lane_with(range(BACKLOG_FULL), key=b"one")
    assert lane.should_pause(NOW_MS)
    first = start(lane)
    assert lane.head(NOW_MS) is None
    assert lane.backlog == BACKLOG_FULL - 1
    assert lane.should_pause(NOW_MS), "not before half of it is gone"
    lane.finish(first, True)
    for _ in range(BACKLOG_FULL - BACKLOG_LOW):
        lane.finish(start(lane), True)
    assert not lane.should_pause(NOW_MS)


KIB = 1024


def test_reading_ahead_is_bounded_in_bytes() -> None:
    lane = lane_with(range(AHEAD_BYTES // (64 * KIB) - 1), value=bytes(64 * KIB))
    assert not lane.should_pause(NOW_MS)
    lane.take(Rec(10_000, value=bytes(64 * KIB)), NOW_MS)
    assert lane.should_pause(NOW_MS)
    while lane.bytes > AHEAD_BYTES_LOW:
        lane.finish(start(lane), True)
    assert lane.should_pause(NOW_MS), "not before half of it is gone"
    lane.finish(start(lane), True)
    assert not lane.should_pause(NOW_MS)


def test_small_records_are_bounded_by_their_number_alone() -> None:
    lane = lane_with(range(BACKLOG_FULL - 1), value=bytes(KIB))
    assert not lane.should_pause(NOW_MS)


def test_what_is_no_longer_read_ahead_weighs_nothing() -> None:
    lane = lane_with([])
    for offset in range(6):
        lane.take(Rec(offset, b"k%d" % (offset % 2), [("name", b"12")], bytes(100)), NOW_MS)
    assert lane.bytes == 6 * 108
    first, second = start(lane), start(lane)
    assert lane.head(NOW_MS) is None
    assert lane.bytes == 4 * 108, "what waits behind its key is read ahead, what runs is not"
    lane.finish(first, False)
    lane.finish(second, True)
    assert lane.bytes == 5 * 108
    lane.halt()
    lane.lose()
    assert lane.bytes == 0


def retry_lane(delay_ms: int = 1000) -> Lane:
    lane = Lane(TopicPartition("booking-events-retry-1s", 0), None, delay_ms)
    lane.gain()
    return lane


def due(offset: int, at: object, priority: str = "normal") -> Rec:
    return Rec(offset, None, [("not-before", str(at).encode()), ("priority", priority.encode())])


def test_a_retry_waits_for_its_time_and_its_partition_with_it() -> None:
    lane = retry_lane()
    lane.take(due(0, NOW_MS + 500), NOW_MS)
    lane.take(due(1, NOW_MS + 900), NOW_MS)
    assert lane.head(NOW_MS + 499) is None
    assert lane.should_pause(NOW_MS + 499)
    assert lane.held_until() == NOW_MS + 500
    assert start(lane, NOW_MS + 500).offset == 0
    assert lane.held_until() == NOW_MS + 900
    assert lane.head(NOW_MS + 500) is None
    assert lane.watermark == 0


def test_no_retry_blocks_its_partition_for_longer_than_its_topic_waits() -> None:
    lane = retry_lane()
    lane.take(due(0, 10**15), NOW_MS)
    lane.take(due(1, "nonsense"), NOW_MS)
    assert lane.head(NOW_MS + 999) is None
    assert start(lane, NOW_MS + 1000).offset == 0
    assert start(lane, NOW_MS + 1000).offset == 1


def test_a_retry_is_of_its_jobs_own_level() -> None:
    lane = retry_lane()
    assert lane.level(due(0, 0, "critical")) is Priority.CRITICAL
    assert lane.level(due(0, 0, "\udcff".encode(errors="surrogateescape").decode(errors="replace"))) is Priority.NORMAL
    assert lane.level(Rec(0)) is Priority.NORMAL
