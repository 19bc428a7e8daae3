"""Questions to Kafka about topics, offsets and groups, each answered within a limit or BackendUnavailable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    LeaderNotAvailableError,
    NotCoordinatorForGroupError,
    TopicAlreadyExistsError,
    for_code,
)

from booking_queue.backends.kafka.access import access
from booking_queue.backends.kafka.closing import closed
from booking_queue.backends.kafka.topics import Topics, TopicSpec
from booking_queue.domain.errors import BackendUnavailable
from booking_queue.settings import Settings

ASK_SECONDS = 2.0
CLOSE_SECONDS = 2.0
AGAIN_SECONDS = 0.05
UNKNOWN_TOPIC = 3
SET_ON_TOPIC = 1  # a config's source
SOON = (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    LeaderNotAvailableError,
    NotCoordinatorForGroupError,
)

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class PartitionView:
    """`begin` is the oldest offset still kept, `end` the next to be written, `committed` the next the group reads."""

    topic: str
    partition: int
    leader: int
    begin: int
    end: int
    committed: int | None

    @property
    def lag(self) -> int:
        return self.end - max(self.begin, self.committed or 0)


@dataclass(frozen=True, slots=True)
class Member:
    client_id: str
    host: str
    partitions: list[str]  # topic/partition


@dataclass(frozen=True, slots=True)
class Group:
    id: str
    state: str
    members: list[Member]


@dataclass(frozen=True, slots=True)
class _Clients:
    admin: Any
    reader: Any  # a consumer without a group: for offsets


class Cluster:
    def __init__(self, settings: Settings, topics: Topics, client_id: str):
        self._access = access(settings)
        self._topics = topics
        self._client_id = client_id
        self._clients: _Clients | None = None
        self._connecting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        self._drop()
        if self._closing:
            await asyncio.wait(self._closing)

    async def ask(self, question: Callable[[_Clients], Awaitable[Answer]], seconds: float = ASK_SECONDS) -> Answer:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        return await question(await self._connected())
                    except SOON:
                        await asyncio.sleep(AGAIN_SECONDS)
        except (KafkaError, OSError, TimeoutError) as error:
            self._drop()
            raise BackendUnavailable(f"Kafka does not answer: {type(error).__name__} {error}"[:300]) from error

    async def _connected(self) -> _Clients:
        async with self._connecting:
            if self._clients is None:
                options = {**self._access, "client_id": self._client_id, "request_timeout_ms": 5000}
                admin, reader = AIOKafkaAdminClient(**options), AIOKafkaConsumer(**options)
                try:
                    await admin.start()
                    await reader.start()
                except BaseException:
                    self._close_later(_Clients(admin, reader))
                    raise
                self._clients = _Clients(admin, reader)
            return self._clients

    def _drop(self) -> None:
        clients, self._clients = self._clients, None
        if clients:
            self._close_later(clients)

    def _close_later(self, clients: _Clients) -> None:
        task = asyncio.create_task(_close(clients))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def check(self) -> None:
        """Raises BackendUnavailable unless a broker answers."""
        await self.ask(lambda clients: clients.admin.describe_cluster(), 1.0)

    async def create_topics(self) -> None:
        """Makes what is missing, and sets what we set on the ones there are."""

        async def question(clients: _Clients) -> None:
            specs = {spec.name: spec for spec in self._topics.specs()}
            found = await clients.admin.describe_topics(list(specs))
            missing = [specs[topic["topic"]] for topic in found if topic["error_code"] == UNKNOWN_TOPIC]
            if missing:
                answer = await clients.admin.create_topics([_new_topic(spec) for spec in missing])
                for _, code, message in answer.topic_errors:
                    if code not in (0, TopicAlreadyExistsError.errno):
                        raise for_code(code)(message)
            await _configure(clients.admin, [spec for spec in specs.values() if spec not in missing])

        await self.ask(question, 10.0)

    async def partitions(self, topics: Sequence[str]) -> list[PartitionView]:
        """Of the given topics that exist. Two rounds of requests, however much they hold."""

        async def question(clients: _Clients) -> list[PartitionView]:
            leaders = await _leaders(clients.admin, topics)
            begins, ends, committed = await asyncio.gather(
                clients.reader.beginning_offsets(list(leaders)),
                clients.reader.end_offsets(list(leaders)),
                clients.admin.list_consumer_group_offsets(self._topics.group),
            )
            return [
                PartitionView(
                    tp.topic,
                    tp.partition,
                    leader,
                    begins[tp],
                    ends[tp],
                    committed[tp].offset if tp in committed and committed[tp].offset >= 0 else None,
                )
                for tp, leader in sorted(leaders.items())
            ]

        return await self.ask(question)

    async def counts(self, topics: Sequence[str]) -> dict[str, int]:
        """How many partitions each of the given topics has that exists."""

        async def question(clients: _Clients) -> dict[str, int]:
            found = await clients.admin.describe_topics(list(topics))
            return {topic["topic"]: len(topic["partitions"]) for topic in found if not topic["error_code"]}

        return await self.ask(question)

    async def grow(self, topic: str, count: int) -> None:
        await self.ask(lambda clients: clients.admin.create_partitions({topic: NewPartitions(count)}), 5.0)

    async def group_ids(self) -> list[str]:
        async def question(clients: _Clients) -> list[str]:
            return sorted(name for name, _ in await clients.admin.list_consumer_groups())

        return await self.ask(question)

    async def groups(self, ids: Sequence[str]) -> list[Group]:
        async def question(clients: _Clients) -> list[Group]:
            answers = await clients.admin.describe_consumer_groups(list(ids)) if ids else []
            return [_group(found) for answer in answers for found in answer.to_object()["groups"] if found["group"]]

        return await self.ask(question)


async def _close(clients: _Clients) -> None:
    await asyncio.gather(
        closed(clients.admin.close(), CLOSE_SECONDS),
        closed(clients.reader.stop(), CLOSE_SECONDS),
    )


def _new_topic(spec: TopicSpec) -> Any:
    topic = NewTopic(spec.name, spec.partitions, 1, topic_configs=spec.configs)
    topic.replication_factor = -1  # the broker's own default, which aiokafka's constructor does not let through
    return topic


async def _configure(admin: Any, specs: Iterable[TopicSpec]) -> None:
    """AlterConfigs replaces everything set on a topic, so what others have set is set again."""
    wanted = {spec.name: spec.configs for spec in specs}
    if not wanted:
        return
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in wanted])
    changes = []
    for resource in (found for answer in answers for found in answer.to_object()["resources"]):
        entries = resource["config_entries"]
        own = {
            entry["config_names"]: entry["config_value"] for entry in entries if entry["config_source"] == SET_ON_TOPIC
        }
        merged = own | wanted[resource["resource_name"]]
        if merged != own:
            changes.append(ConfigResource(ConfigResourceType.TOPIC, resource["resource_name"], merged))
    if changes:
        await admin.alter_configs(changes)


async def _leaders(admin: Any, topics: Collection[str]) -> dict[TopicPartition, int]:
    found = await admin.describe_topics(list(topics))
    return {
        TopicPartition(topic["topic"], partition["partition"]): partition["leader"]
        for topic in found
        if not topic["error_code"]
        for partition in topic["partitions"]
    }


def _group(found: dict[str, Any]) -> Group:
    members = []
    for member in found["members"]:
        assignment = member["member_assignment"]
        held = ConsumerProtocol.ASSIGNMENT.decode(assignment).partitions() if assignment else []
        names = sorted(f"{tp.topic}/{tp.partition}" for tp in held)
        members.append(Member(member["client_id"], member["client_host"].lstrip("/"), names))
    return Group(found["group"], found["state"], members)
