"""Who in the group reads which partitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment


class EvenSticky(StickyPartitionAssignor):  # type: ignore[misc]
    """Sticky, and even within each topic. aiokafka's own evens out the bare number of partitions: there the worker
    that was first keeps all of the busy topics, and those that join it get retry topics to look at."""

    @classmethod
    def assign(cls, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        told = {member: cls.parse_member_metadata(members[member]) for member in sorted(members)}
        before = {tp: member for member, metadata in told.items() for tp in metadata.partitions}
        totals = dict.fromkeys(told, 0)
        held: dict[str, list[tuple[str, list[int]]]] = {member: [] for member in told}
        for topic in sorted({topic for metadata in told.values() for topic in metadata.subscription}):
            readers = [member for member, metadata in told.items() if topic in metadata.subscription]
            partitions = sorted(cluster.partitions_for_topic(topic) or ())
            owners = {partition: before.get(TopicPartition(topic, partition)) for partition in partitions}
            for member, mine in share(owners, {reader: totals[reader] for reader in readers}).items():
                held[member].append((topic, mine))
                totals[member] += len(mine)
        return {
            member: ConsumerProtocolMemberAssignment(
                cls.version, [(topic, mine) for topic, mine in topics if mine], b""
            )
            for member, topics in held.items()
        }


def share(owners: Mapping[int, str | None], totals: Mapping[str, int]) -> dict[str, list[int]]:
    """One topic's partitions. Where they do not come out even, who has least of other topics gets one more."""
    each, more = divmod(len(owners), len(totals))
    luckiest = sorted(totals, key=lambda member: (totals[member], -list(owners.values()).count(member), member))
    room = {member: each + (place < more) for place, member in enumerate(luckiest)}
    mine: dict[str, list[int]] = {member: [] for member in totals}
    homeless = []
    for partition, owner in owners.items():
        if owner in room and len(mine[owner]) < room[owner]:
            mine[owner].append(partition)
        else:
            homeless.append(partition)
    for partition in homeless:
        member = next(member for member in luckiest if len(mine[member]) < room[member])
        mine[member].append(partition)
    return {member: sorted(partitions) for member, partitions in mine.items()}
