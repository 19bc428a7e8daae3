"""What the monitoring service answers. The type checker holds the code to it; OpenAPI and the pages' types are made
of it. null: not known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from typing_extensions import TypedDict

from booking_queue.domain.job import Backend

Value = TypeVar("Value")


class ByBackend(TypedDict, Generic[Value]):
    rq: Value
    redisStreams: Value
    kafka: Value


def by_backend(of: Callable[[Backend], Value]) -> ByBackend[Value]:
    return {"rq": of(Backend.RQ), "redisStreams": of(Backend.STREAMS), "kafka": of(Backend.KAFKA)}


class RqQueue(TypedDict):
    waiting: int | None
    active: int | None
    completed: int | None
    failed: int | None
    delayed: int | None
    total: int | None


class StreamsQueue(TypedDict):
    totalMessages: int | None
    pendingMessages: int | None
    dlqMessages: int | None


class KafkaQueue(TypedDict):
    topic: str | None
    partitions: int | None
    dlqPartitions: int | None


class Queues(TypedDict):
    rq: RqQueue
    redisStreams: StreamsQueue
    kafka: KafkaQueue


class Rate(TypedDict):
    acceptedPerSecond: float | None
    completedPerSecond: float | None
    failedPerSecond: float | None
    retriedPerSecond: float | None


class Rates(TypedDict):
    """Over the last `overSeconds`."""

    rq: Rate
    redisStreams: Rate
    kafka: Rate
    overSeconds: float


class Percentiles(TypedDict):
    """Milliseconds."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None


class LaneLatency(TypedDict):
    wait: Percentiles
    run: Percentiles


class Latency(TypedDict):
    """Over the last `overSeconds`: waiting (until the start) and running (one attempt)."""

    rq: LaneLatency
    redisStreams: LaneLatency
    kafka: LaneLatency
    overSeconds: float


class Unsent(TypedDict):
    rows: int | None
    oldestAgeSeconds: float | None


class WorkerAnswer(TypedDict):
    id: str
    host: str
    pid: int
    startedAt: str
    lastHeartbeatSeconds: float | None
    running: dict[str, int] | None
    capacity: dict[str, int] | None
    jobs: list[dict[str, Any]] | None
    partitions: list[str] | None
    idle: str | None
    processed: int | None
    failed: int | None
    memoryBytes: int | None
    cpuPercent: float | None
    error: str | None


class LostWorker(TypedDict):
    id: str
    lastSeenSeconds: float


class Desired(TypedDict):
    count: int | None
    byBackend: ByBackend[int | None]
    formula: str


class WorkersAnswer(TypedDict):
    count: int | None
    active: int | None
    running: ByBackend[int | None]
    capacity: ByBackend[int | None]
    utilisation: ByBackend[float | None]
    list: list[WorkerAnswer]
    lost: list[LostWorker]
    desired: Desired


class JobCounts(TypedDict):
    """Legs since the ledger began; `errorRate` over the last five minutes."""

    accepted: int | None
    processed: int | None
    failed: int | None
    cancelled: int | None
    errorRate: float | None


class AllJobCounts(TypedDict):
    rq: JobCounts
    redisStreams: JobCounts
    kafka: JobCounts
    all: JobCounts


class SlaShare(TypedDict):
    inTime: int
    total: int
    share: float | None


class Sla(TypedDict):
    """Of the jobs that were done in the last `overSeconds`, those within `slaSeconds` of acceptance, or of the time
    that they were put off to; by type, without those of which none was done."""

    slaSeconds: float
    overSeconds: float
    types: dict[str, SlaShare]


class RedisAnswer(TypedDict):
    opsPerSecond: float | None
    memoryBytes: int | None
    maxMemoryBytes: int | None
    clients: int | None
    latencyMs: float | None


class Machine(TypedDict):
    """Where the monitoring service runs."""

    cpuPercent: float
    memoryPercent: float
    memoryBytes: int
    processMemoryBytes: int
    processCpuPercent: float


class MetricsAnswer(TypedDict):
    jobs: AllJobCounts
    bookingsConfirmed: int | None
    averageProcessingMs: float | None
    queueDepth: int | None
    sla: Sla
    redis: RedisAnswer
    machine: Machine


class AlarmAnswer(TypedDict):
    """`about` names the source, backend or worker; `since` is when it happened, null for what goes on."""

    alarm: str
    about: str
    detail: str
    remedy: str
    since: str | None


class Staleness(TypedDict):
    stale: bool
    ageSeconds: float | None
    error: str | None


class DashboardAnswer(TypedDict):
    """`backlog`: what each broker holds that is not finished; `waiting`: how much of it could start, and has not.
    `lag`: how many entries of its log the workers' group has not got (Kafka: not finished) yet; RQ has no log."""

    timestamp: str
    queues: Queues
    rates: Rates
    latency: Latency
    backlog: ByBackend[int | None]
    waiting: ByBackend[int | None]
    lag: ByBackend[int | None]
    oldestAgeSeconds: ByBackend[float | None]
    outbox: ByBackend[Unsent]
    workers: WorkersAnswer
    metrics: MetricsAnswer
    alarms: list[AlarmAnswer]
    staleness: dict[str, Staleness]


HistoryAnswer = TypedDict(
    "HistoryAnswer",
    {"from": int, "everySeconds": float, "times": list[int], "series": dict[str, list[float | None]]},
)
