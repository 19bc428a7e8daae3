"""Finds a consumer that stands still although there is work and Kafka answers."""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition

from booking_queue import logs
from booking_queue.backends.kafka.cluster import Cluster
from booking_queue.backends.kafka.lane import Lane
from booking_queue.backends.kafka.lanes import Lanes
from booking_queue.backends.kafka.member import Member
from booking_queue.backends.kafka.topics import Topics
from booking_queue.domain.errors import BackendUnavailable

STILL_SECONDS = 30.0
LOOK_SECONDS = 10.0

log = logs.get("kafka")


class Watchdog:
    """Asks over connections of its own: those of a consumer that stands still prove nothing."""

    def __init__(self, cluster: Cluster, topics: Topics, lanes: Lanes, client_id: str):
        self._cluster = cluster
        self._topics = topics
        self._lanes = lanes
        self._client_id = client_id
        self.rebuilds = 0

    async def run(self, member: Member) -> None:
        """Returns when this member is to be replaced."""
        since: dict[object, float] = {}
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, STILL_SECONDS / 2))
            try:
                symptoms = await self._symptoms(member)
            except BackendUnavailable:
                symptoms = {}  # Kafka is away: that is no fault of the consumer's
            now = asyncio.get_running_loop().time()
            since = {symptom: since.get(symptom, now) for symptom in symptoms}
            for symptom, why in symptoms.items():
                if now - since[symptom] >= STILL_SECONDS:
                    self.rebuilds += 1
                    log.error("kafka_consumer_stands_still", why=why)
                    return

    async def _symptoms(self, member: Member) -> dict[object, str]:
        """What would be a fault if it lasted."""
        if not self._lanes.owned:
            return {} if await self._in_group() else {"outside": "not in the group"}
        quiet = {lane.tp: lane for lane in self._lanes.owned if not self._moves(member, lane)}
        if not quiet:
            return {}
        views = await self._cluster.partitions(sorted({tp.topic for tp in quiet}))
        found: dict[object, str] = {}
        for view in views:
            lane = quiet.get(TopicPartition(view.topic, view.partition))
            if lane is None or self._moves(member, lane):
                continue
            at = max(view.begin, lane.read_to if lane.read_to is not None else (view.committed or 0))
            if view.end > at:
                found[lane.tp, at] = f"{view.topic}/{view.partition} ends at {view.end} and was read to {at}"
        return found

    @staticmethod
    def _moves(member: Member, lane: Lane) -> bool:
        """Something of it runs, was read ahead, or waits for its time."""
        return bool(lane.running or lane.backlog or member.paused(lane))

    async def _in_group(self) -> bool:
        groups = await self._cluster.groups([self._topics.group])
        return any(member.client_id == self._client_id for group in groups for member in group.members)
