"""Which record starts next."""

from __future__ import annotations

from collections import Counter

import pytest
from aiokafka import TopicPartition

from booking_queue.backends.kafka.lane import AHEAD_BYTES, MAX_IN_FLIGHT, OWN_BYTES
from booking_queue.backends.kafka.lanes import FAIR_EVERY, Lanes
from booking_queue.backends.kafka.topics import Topics
from booking_queue.domain.job import Priority
from booking_queue.settings import Settings
from tests.unit.test_kafka_lane import NOW_MS, Rec, due

TOPICS = Topics(Settings())


def tp(level: Priority, partition: int = 0) -> TopicPartition:
    return TopicPartition(TOPICS.levels[level], partition)


RETRY = TopicPartition(TOPICS.retries[1], 0)


@pytest.fixture
def lanes() -> Lanes:
    lanes = Lanes(TOPICS)
    lanes.gain([tp(level) for level in Priority] + [tp(Priority.NORMAL, 1), RETRY])
    for lane in lanes:
        lane.unread = False
    return lanes


def fill(lanes: Lanes, at: TopicPartition, count: int) -> None:
    lane = lanes.get(at)
    assert lane
    for offset in range(count):
        lane.take(Rec(offset), NOW_MS)


def starts(lanes: Lanes, count: int) -> list[TopicPartition]:
    """A worker of one slot."""
    seen = []
    for _ in range(count):
        found = lanes.pick(NOW_MS)
        if found is None:
            break
        lane, record = found
        lane.start(record)
        lane.finish(record, True)
        seen.append(lane.tp)
    return seen


def test_higher_levels_go_first(lanes: Lanes) -> None:
    for level in reversed(Priority):
        fill(lanes, tp(level), 2)
    assert starts(lanes, 10) == [tp(level) for level in Priority for _ in range(2)]


def test_partitions_of_a_level_take_turns(lanes: Lanes) -> None:
    fill(lanes, tp(Priority.NORMAL, 0), 3)
    fill(lanes, tp(Priority.NORMAL, 1), 3)
    seen = starts(lanes, 6)
    assert seen[0] != seen[1] and Counter(seen[:4]) == {seen[0]: 2, seen[1]: 2}


def test_every_twentieth_start_is_a_lower_levels_and_each_gets_its_turn(lanes: Lanes) -> None:
    for level in Priority:
        fill(lanes, tp(level), 200)
    seen = starts(lanes, 3 * FAIR_EVERY)
    others = {number: at for number, at in enumerate(seen, 1) if at != tp(Priority.CRITICAL)}
    assert others == {20: tp(Priority.LOW), 40: tp(Priority.NORMAL), 60: tp(Priority.HIGH)}


def test_a_lower_level_waits_while_a_higher_one_is_still_to_be_read(lanes: Lanes) -> None:
    fill(lanes, tp(Priority.LOW), 1)
    high = lanes.get(tp(Priority.HIGH))
    assert high
    high.unread = True
    assert lanes.pick(NOW_MS) is None
    high.unread = False
    assert starts(lanes, 1) == [tp(Priority.LOW)]


def test_a_level_that_can_start_nothing_holds_no_other_back(lanes: Lanes) -> None:
    fill(lanes, tp(Priority.HIGH), MAX_IN_FLIGHT + 1)
    fill(lanes, tp(Priority.LOW), 1)
    high = lanes.get(tp(Priority.HIGH))
    assert high
    for _ in range(MAX_IN_FLIGHT):
        high.start(high.head(NOW_MS))
    high.unread = True
    assert starts(lanes, 1) == [tp(Priority.LOW)]


def test_a_due_retry_is_of_its_jobs_level(lanes: Lanes) -> None:
    lane = lanes.get(RETRY)
    assert lane
    lane.take(due(0, NOW_MS, "high"), NOW_MS)
    lane.take(due(1, NOW_MS + 1, "critical"), NOW_MS)
    for level in Priority:
        fill(lanes, tp(level), 1)
    assert starts(lanes, 9) == [tp(Priority.CRITICAL), RETRY, *(tp(level) for level in list(Priority)[1:])]
    assert lanes.next_due() == NOW_MS + 1


def test_partitions_that_are_gone_start_nothing(lanes: Lanes) -> None:
    fill(lanes, tp(Priority.NORMAL), 2)
    lanes.halt([tp(Priority.NORMAL)])
    assert lanes.pick(NOW_MS) is None
    lanes.gain([tp(Priority.LOW)])
    assert lanes.get(tp(Priority.NORMAL)) is None
    assert [lane.tp for lane in lanes.owned] == [tp(Priority.LOW)]


def test_a_lane_is_remembered_for_as_long_as_something_of_it_runs(lanes: Lanes) -> None:
    fill(lanes, tp(Priority.NORMAL), 1)
    found = lanes.pick(NOW_MS)
    assert found
    lane, record = found
    lane.start(record)
    lanes.gain([])
    assert lanes.get(lane.tp) is lane
    lane.finish(record, True)
    lanes.gain([])
    assert lanes.get(lane.tp) is None


def test_partitions_share_the_bytes_that_are_read_ahead_and_none_stands_still_for_others(lanes: Lanes) -> None:
    normal, low, high = (lanes.get(tp(level)) for level in (Priority.NORMAL, Priority.LOW, Priority.HIGH))
    assert normal and low and high
    for lane in (normal, low):
        lane.take(Rec(0, value=bytes(AHEAD_BYTES // 2)), NOW_MS)
    assert normal.should_pause(NOW_MS) and low.should_pause(NOW_MS)
    high.take(Rec(0, value=bytes(OWN_BYTES - 1)), NOW_MS)
    assert not high.should_pause(NOW_MS), "it has not read ahead its own share"
    high.take(Rec(1, value=b"x"), NOW_MS)
    assert high.should_pause(NOW_MS)
    lanes.gain([tp(Priority.HIGH)])
    assert not high.should_pause(NOW_MS), "what the others held is gone with them"
