"""The Kafka lane: everything that knows offsets, retry topics and the dead topic. Its parts are in `kafka/`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from booking_queue.backends.base import Features, Published
from booking_queue.backends.kafka import letters
from booking_queue.backends.kafka.cluster import Cluster, Member, PartitionView
from booking_queue.backends.kafka.consumer import KafkaConsumer
from booking_queue.backends.kafka.outbound import Outbound
from booking_queue.backends.kafka.replay import Replayer
from booking_queue.backends.kafka.sender import Sender
from booking_queue.backends.kafka.topics import Topics
from booking_queue.domain.errors import BackendUnavailable, LedgerUnavailable
from booking_queue.domain.job import Backend, Options, State
from booking_queue.ledger.ledger import Ledger, LegRef
from booking_queue.ledger.outbox import Outbox
from booking_queue.ledger.record import Record
from booking_queue.settings import Settings
from booking_queue.tasks import outcomes

__all__ = ["KafkaConsumer", "KafkaPublisher"]

OPEN_SECONDS = 3.0


class KafkaPublisher:
    backend = Backend.KAFKA
    features = Features(removable_dead_letters=False, total_order=False)

    def __init__(self, ledger: Ledger, settings: Settings):
        self._ledger = ledger
        self._outbox = Outbox(ledger.scripts)
        self._settings = settings
        self.topic_names = Topics(settings)
        client_id = f"{settings.name_prefix}kafka-service"
        self._cluster = Cluster(settings, self.topic_names, client_id)
        self._sender = Sender(settings, client_id, prepare=self._found)
        self._outbound = Outbound(ledger, self.topic_names, self._sender)
        # aiokafka logs every attempt to reach a broker that is away; our own lines say when it went and came back.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        self._growing = asyncio.Lock()
        self.replayer = Replayer(settings, self.topic_names, ledger)

    async def open(self) -> None:
        self._sender.open()
        await self._sender.looked(OPEN_SECONDS)

    async def close(self) -> None:
        await self.replayer.close()
        await self._sender.close()
        await self._cluster.close()

    async def _found(self) -> None:
        """Kafka answers: its topics are there again, and what waited for it is sent now."""
        await self._cluster.create_topics()
        with suppress(LedgerUnavailable):
            await self._outbox.wake(self.backend)

    async def publish(self, legs: Sequence[LegRef]) -> list[Published | Exception]:
        return await outcomes(self._outbound.send(leg) for leg in legs)

    async def check(self) -> None:
        """Raises BackendUnavailable unless Kafka answers."""
        self._must_be_up()
        await self._cluster.check()

    def _must_be_up(self) -> None:
        """Known to be away: say so without trying, which takes long where packets just vanish."""
        if not self._sender.up:
            raise BackendUnavailable("Kafka is away")

    def topic_of(self, options: Options) -> str:
        """Where a message with these options goes."""
        return self.topic_names.levels[options.priority]

    async def message(self, job_id: str) -> Record | None:
        """None, too, once it ended and had asked to be removed then."""
        record, (shown,) = await asyncio.gather(
            self._ledger.get(job_id), self._ledger.scripts.call("shows", job_id, self.backend)
        )
        return record if record and shown and self.backend in record.legs else None

    async def lookup(self, job_id: str) -> dict[str, Any] | None:
        """The message's place; nulls while it has none. `readable` is of `readable()`."""
        record = await self._ledger.get(job_id)
        leg = record.legs.get(self.backend) if record else None
        if leg is None:
            return None
        place = dict.fromkeys(("topic", "partition", "offset", "timestamp")) | (leg.receipt or {})
        return {"messageId": job_id, **place, "readable": await self.readable(leg.receipt)}

    async def readable(self, receipt: dict[str, Any] | None) -> bool | None:
        """Whether Kafka still keeps the message; None when it cannot be told."""
        if receipt is None:
            return False
        if receipt["offset"] is None or not self._sender.up:
            return None
        try:
            views = await self._cluster.partitions([receipt["topic"]])
        except BackendUnavailable:
            return None
        at = next((view for view in views if view.partition == receipt["partition"]), None)
        return at is not None and at.begin <= receipt["offset"] < at.end

    async def stats(self) -> dict[str, Any]:
        """`backlog`: what Kafka still has to deliver or holds uncommitted. A leg open while it is 0 was lost. It holds
        nothing for later but retries, those for 30 s at most."""
        self._must_be_up()
        topics = self.topic_names
        views, groups = await asyncio.gather(self._cluster.partitions(topics.all), self._cluster.groups([topics.group]))
        of: dict[str, list[PartitionView]] = {"level": [], "retry": [], "dead": []}
        for view in views:
            of[topics.kind(view.topic)].append(view)
        lag, retrying = (sum(view.lag for view in of[kind]) for kind in ("level", "retry"))
        return {
            "topic": topics.main,
            "group": topics.group,
            "stats": {
                "partitions": sum(view.topic == topics.main for view in views),
                "dlqPartitions": len(of["dead"]),
                "messagesInStore": sum(view.end - view.begin for view in of["level"]),
                "dlqMessages": sum(view.end - view.begin for view in of["dead"]),
            },
            "backlog": lag + retrying,
            "scheduled": 0,
            "lag": lag,
            "retrying": retrying,
            "members": [_member(member) for group in groups for member in group.members],
            "offsets": [offsets(view) for view in [*of["level"], *of["retry"]]],
        }

    async def dead_letters(self, count: int = 100) -> list[dict[str, Any]]:
        self._must_be_up()
        views = await self._cluster.partitions([self.topic_names.dead])
        return await letters.newest(
            self._settings, self.topic_names, {view.partition: view.end for view in views}, count
        )

    async def redrive(self, job_id: str) -> Published | str:
        leg = await self._ledger.redrive(job_id, self.backend)
        if isinstance(leg, str):
            return leg
        answer = (await self.publish([leg]))[0]
        return answer if isinstance(answer, Published) else Published(job_id, State.PENDING, None)

    async def discard(self, job_id: str) -> str:
        """The letter stays readable in the log, as long as that keeps it."""
        return await self._ledger.discard(job_id, self.backend)

    async def topics(self) -> list[dict[str, Any]]:
        self._must_be_up()
        counts = await self._cluster.counts(self.topic_names.all)
        return [
            {"topic": topic, "kind": self.topic_names.kind(topic), "partitions": counts[topic]}
            for topic in self.topic_names.all
            if topic in counts
        ]

    async def partitions(self, topic: str) -> list[dict[str, Any]] | None:
        """None: no topic of ours."""
        if topic not in self.topic_names.all:
            return None
        self._must_be_up()
        return [offsets(view) | {"leader": view.leader} for view in await self._cluster.partitions([topic])]

    async def partition_count(self, topic: str) -> int:
        self._must_be_up()
        return (await self._cluster.counts([topic])).get(topic, 0)

    async def add_partitions(self, topic: str, count: int) -> int | None:
        """How many there are then; None: no topic of ours. Raises ValueError unless that is more than before.

        Messages of one key go to another partition from then on."""
        if topic not in self.topic_names.all:
            return None
        self._must_be_up()
        async with self._growing:
            now = await self.partition_count(topic)
            if count <= now:
                raise ValueError(f"{topic} has {now} partitions: it can only grow")
            await self._cluster.grow(topic, count)
        return count

    async def groups(self) -> list[dict[str, Any]]:
        """Those that read our topics: the workers, and any group named after theirs."""
        self._must_be_up()
        ours = [name for name in await self._cluster.group_ids() if name.startswith(self.topic_names.group)]
        return [
            {"group": group.id, "state": group.state, "members": [_member(member) for member in group.members]}
            for group in await self._cluster.groups(ours)
        ]


def _member(member: Member) -> dict[str, Any]:
    return {"worker": member.client_id, "host": member.host, "partitions": member.partitions}


def offsets(view: PartitionView) -> dict[str, Any]:
    return {
        "topic": view.topic,
        "partition": view.partition,
        "beginOffset": view.begin,
        "endOffset": view.end,
        "committed": view.committed,
        "lag": view.lag,
    }
