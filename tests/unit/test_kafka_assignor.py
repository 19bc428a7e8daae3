"""Who reads which partitions: even within each topic, and as before where that is possible."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from booking_queue.backends.kafka.assignor import EvenSticky, share
from booking_queue.backends.kafka.topics import Topics
from booking_queue.settings import Settings

TOPICS = Topics(Settings())
PARTITIONS = 3


class Cluster:
    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(PARTITIONS)) if topic in TOPICS.consumed else None


class Group:
    """As the coordinator has it: each member keeps its assignor, which remembers what it was given."""

    def __init__(self) -> None:
        self.members: dict[str, Any] = {}

    def join(self, *names: str) -> None:
        for name in names:
            self.members[name] = type(name, (EvenSticky,), {})

    def rebalance(self) -> dict[str, set[TopicPartition]]:
        told = {name: assignor.metadata(TOPICS.consumed) for name, assignor in self.members.items()}
        leader = next(iter(self.members.values()))
        given = leader.assign(Cluster(), told)
        for name, assignor in self.members.items():
            assignor.on_assignment(ConsumerProtocolMemberAssignment.decode(given[name].encode()))
        return {name: set(given[name].partitions()) for name in self.members}


def complete(held: dict[str, set[TopicPartition]]) -> None:
    everything = [tp for mine in held.values() for tp in mine]
    assert sorted(everything) == sorted(
        TopicPartition(topic, n) for topic in TOPICS.consumed for n in range(PARTITIONS)
    )


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 7])
def test_every_topic_is_spread_over_all_workers_also_when_they_join_one_by_one(workers: int) -> None:
    group = Group()
    held: dict[str, set[TopicPartition]] = {}
    for number in range(workers):
        group.join(f"w{number}")
        held = group.rebalance()
        complete(held)
    for topic in TOPICS.consumed:
        counts = [sum(tp.topic == topic for tp in mine) for mine in held.values()]
        assert max(counts) - min(counts) <= 1, topic
    totals = [len(mine) for mine in held.values()]
    assert max(totals) - min(totals) <= 1


def test_nothing_moves_without_a_reason() -> None:
    group = Group()
    group.join("a", "b", "c")
    before = group.rebalance()
    assert group.rebalance() == before
    del group.members["b"]
    after = group.rebalance()
    complete(after)
    assert before["a"] <= after["a"] and before["c"] <= after["c"], "who stays keeps what it has"


def test_one_who_joins_takes_only_its_share() -> None:
    group = Group()
    group.join("a", "b")
    before = group.rebalance()
    group.join("c")
    after = group.rebalance()
    complete(after)
    moved = sum(len(after[name] - before[name]) for name in ("a", "b"))
    assert moved == 0, "nothing moves between those that were there"


def test_a_partition_that_two_claim_has_one_owner() -> None:
    assert share({0: "a", 1: "a", 2: "gone"}, {"a": 0, "b": 0}) == {"a": [0, 1], "b": [2]}
    assert share({}, {"a": 0}) == {"a": []}
