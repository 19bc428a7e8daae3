"""The answers of `views.py` and `services_health.py`, as `answers.py` has the others."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from monitoring_service.answers import Staleness


class RqRow(TypedDict):
    """What else there is depends on the state."""

    id: str
    name: str
    data: dict[str, Any]
    progress: NotRequired[Any]
    returnvalue: NotRequired[Any]
    failedReason: NotRequired[Any]
    delay: NotRequired[Any]


class RqRows(TypedDict):
    waiting: list[RqRow]
    active: list[RqRow]
    completed: list[RqRow]
    failed: list[RqRow]
    delayed: list[RqRow]


class ConsumerAnswer(TypedDict):
    """A worker, over the streams of all levels."""

    name: str
    pending: int
    idleMs: int


class StreamRows(TypedDict):
    stream: str | None
    group: str | None
    lag: int | None
    totalMessages: int | None
    consumers: list[ConsumerAnswer]
    recentMessages: list[dict[str, Any]]
    pendingMessages: list[list[str | int]]  # id, consumer, idle ms, deliveries


class PartitionAnswer(TypedDict):
    topic: str
    partition: int
    beginOffset: int
    endOffset: int
    committed: int | None
    lag: int


class KafkaRows(TypedDict):
    topic: str | None
    group: str | None
    lag: int | None
    messagesInStore: int | None
    dlqPartitions: int | None
    partitions: list[PartitionAnswer]
    members: list[dict[str, Any]]


class View(Staleness):
    """`broker`: host and port, as the suite reaches it."""

    timestamp: str
    broker: str


class RqAnswer(RqRows, View):
    pass


class StreamsAnswer(StreamRows, View):
    pass


class KafkaAnswer(KafkaRows, View):
    pass


class ServiceAnswer(TypedDict):
    name: str
    url: str
    status: Literal["healthy", "unhealthy"]
    data: NotRequired[Any]
    error: NotRequired[str]


class ServicesRows(TypedDict):
    """`timestamp`: when they were asked."""

    timestamp: str
    services: list[ServiceAnswer]


class ServicesAnswer(ServicesRows, Staleness):
    pass
