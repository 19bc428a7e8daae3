"""Finds a consumer that stands still although there is work and Kafka answers."""

from __future__ import annotations

import asyncio

from booking_queue import logs
from booking_queue.backends.kafka.cluster import Cluster
from booking_queue.backends.kafka.lane import Lane
from booking_queue.backends.kafka.lanes import Lanes
from booking_queue.backends.kafka.member import Member
from booking_queue.backends.kafka.topics import Topics
from booking_queue.domain.errors import BackendUnavailable

STILL_SECONDS = 30.0
LOOK_SECONDS = 5.0

log = logs.get("kafka")


class Watchdog:
    """Asks over connections of its own: those of a consumer that stands still prove nothing."""

    def __init__(self, cluster: Cluster, topics: Topics, lanes: Lanes, client_id: str, still: float = STILL_SECONDS):
        self._cluster = cluster
        self._topics = topics
        self._lanes = lanes
        self._client_id = client_id
        self._still = still
        self.rebuilds = 0

    async def run(self, member: Member) -> None:
        """Returns when this member is to be replaced."""
        loop = asyncio.get_running_loop()
        last_member = loop.time()
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, self._still / 2))
            if self._lanes.owned:
                last_member = loop.time()
            why = None
            try:
                if quiet := self._quiet(member, loop.time()):
                    why = await self._stuck(quiet)
                elif loop.time() - last_member > self._still and not await self._is_member():
                    why = "not in the group"
            except BackendUnavailable:
                continue  # Kafka is away: that is no fault of the consumer's
            if why:
                self.rebuilds += 1
                log.error("kafka_consumer_stands_still", why=why)
                return

    def _quiet(self, member: Member, now: float) -> list[Lane]:
        """Nothing running, nothing read ahead, not paused, and nothing of it has moved for long."""
        return [
            lane
            for lane in self._lanes.owned
            if not lane.running
            and not lane.backlog
            and not member.paused(lane)
            and now - lane.progress_at > self._still
        ]

    async def _stuck(self, quiet: list[Lane]) -> str | None:
        views = await self._cluster.partitions(sorted({lane.tp.topic for lane in quiet}))
        found = {(view.topic, view.partition): view for view in views}
        for lane in quiet:
            view = found.get((lane.tp.topic, lane.tp.partition))
            if view is None:
                continue
            at = lane.read_to if lane.read_to is not None else (view.committed or 0)
            if view.end > max(at, view.begin):
                return f"{lane.tp.topic}/{lane.tp.partition} ends at {view.end} and was read to {at}"
        return None

    async def _is_member(self) -> bool:
        groups = await self._cluster.groups([self._topics.group])
        return any(member.client_id == self._client_id for group in groups for member in group.members)
