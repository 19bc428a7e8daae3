"""What the other services are expected to say. More is welcome; less makes a source stale, with the reason."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from booking_queue.domain.job import Backend


class _Said(BaseModel):
    model_config = ConfigDict(extra="allow", alias_generator=to_camel, populate_by_name=True)


class LedgerSeen(_Said):
    """What a service noticed of the ledger's Redis."""

    emptied: int = 0
    writes_refused: dict[str, int] = Field(default_factory=dict)


class LaneStats(_Said):
    """GET /stats of a backend service, whichever it is."""

    backlog: int
    outbox: int
    scheduled: int = 0  # of the backlog, before their time
    lag: int | None = None  # of the group behind the log's end; RQ has none
    oldest_age_seconds: float = 0
    ledger: LedgerSeen = Field(default_factory=LedgerSeen)


class RqLevel(_Said):
    waiting: int
    active: int
    completed: int
    failed: int
    delayed: int


class RqCounts(RqLevel):
    total: int


class RqStats(LaneStats):
    queue: str
    stats: RqCounts
    levels: dict[str, RqLevel] = Field(default_factory=dict)
    workers: int = 0


class StreamCounts(_Said):
    total_messages: int
    pending_messages: int
    dlq_messages: int


class StreamLevel(_Said):
    stream: str
    total_messages: int
    pending_messages: int
    lag: int


class StreamStats(LaneStats):
    """`alarms`: what should never happen to a stream, counted."""

    stream: str
    stats: StreamCounts
    group: str = ""
    levels: dict[str, StreamLevel] = Field(default_factory=dict)
    alarms: dict[str, int] = Field(default_factory=dict)


class KafkaCounts(_Said):
    partitions: int
    dlq_partitions: int
    messages_in_store: int


class KafkaPartition(_Said):
    topic: str
    partition: int
    begin_offset: int
    end_offset: int
    committed: int | None
    lag: int


class KafkaStats(LaneStats):
    topic: str
    stats: KafkaCounts
    group: str = ""
    offsets: list[KafkaPartition] = Field(default_factory=list)
    members: list[Any] = Field(default_factory=list)


class Buckets(_Said):
    """Upper bounds in seconds, the last None for infinity; `counts` are cumulative."""

    buckets: list[float | None]
    counts: list[int]
    sum: float


class Histograms(_Said):
    wait: dict[Backend, Buckets] = Field(default_factory=dict)
    run: dict[Backend, Buckets] = Field(default_factory=dict)


class InTime(_Said):
    in_time: int
    total: int


class WorkerStats(_Said):
    """GET /stats of a worker; all counts since it started."""

    worker_id: str
    started_at: AwareDatetime
    running: dict[Backend, int]
    capacity: dict[Backend, int]
    parked: dict[Backend, int] = Field(default_factory=dict)
    processed: dict[Backend, int]
    failed: dict[Backend, int]
    sla: dict[str, InTime] = Field(default_factory=dict)
    histograms: Histograms
    memory_bytes: int
    cpu_percent: float
    jobs: list[dict[str, Any]] = Field(default_factory=list)
    partitions: list[str] | None = None  # None: it does not consume Kafka
    rebuilds: dict[Backend, int] = Field(default_factory=dict)
    writes_refused: dict[str, int] = Field(default_factory=dict)


class Presence(_Said):
    """A worker's entry under its name in Redis."""

    id: str
    host: str
    pid: int
    address: str
    started_at: str
    running: dict[Backend, int] = Field(default_factory=dict)
    parked: dict[Backend, int] = Field(default_factory=dict)


class RqJob(_Said):
    id: str
    name: str
    data: dict[str, Any]
    progress: Any = 0
    returnvalue: Any = None
    failed_reason: str | None = None
    scheduled_for: AwareDatetime | None = None


class RqJobs(_Said):
    """GET /jobs/state/{state}"""

    state: str
    jobs: list[RqJob]


class StreamMessages(_Said):
    """GET /messages?count=10"""

    stream: str
    count: int
    messages: list[dict[str, Any]]


class StreamConsumer(_Said):
    name: str
    pending: int
    idle_ms: int


class StreamConsumers(_Said):
    """GET /consumers"""

    consumers: list[StreamConsumer]


class StreamPending(_Said):
    """GET /pending?count=10: [stream id, consumer, idle ms, deliveries] each."""

    pending_messages: list[tuple[str, str, int, int]]
