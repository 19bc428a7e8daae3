"""The board as /dashboard tells it. What is not known is null, with its age beside it; nothing here can fail."""

from __future__ import annotations

import psutil

from booking_queue.clock import iso, now_ms
from booking_queue.domain.job import Backend
from monitoring_service.alarms import alarms
from monitoring_service.answers import (
    AllJobCounts,
    ByBackend,
    DashboardAnswer,
    JobCounts,
    LaneLatency,
    Latency,
    Machine,
    MetricsAnswer,
    Percentiles,
    Queues,
    Rates,
    Unsent,
    by_backend,
)
from monitoring_service.board import Board, milliseconds
from monitoring_service.history import LATENCY_SECONDS, RATE_SECONDS, WINDOW_SECONDS
from monitoring_service.sources import KafkaStats, RqStats, StreamStats
from monitoring_service.totals import Histogram, share
from monitoring_service.workforce import workers


def dashboard(board: Board) -> DashboardAnswer:
    return {
        "timestamp": iso(now_ms()),
        "queues": queues(board),
        "rates": rates(board),
        "latency": latency(board),
        "backlog": by_backend(board.backlog),
        "waiting": by_backend(board.waiting),
        "lag": by_backend(board.lag),
        "oldestAgeSeconds": by_backend(board.oldest_age),
        "outbox": outbox(board),
        "workers": workers(board),
        "metrics": metrics(board),
        "alarms": alarms(board),
        "staleness": {source.name: source.staleness() for source in board.sources},
    }


def queues(board: Board) -> Queues:
    """Exactly the members that the older dashboard had; the last known, or null."""
    rq: RqStats | None = board.rq.value
    streams: StreamStats | None = board.streams.value
    kafka: KafkaStats | None = board.kafka.value
    counts = rq.stats if rq else None
    entries = streams.stats if streams else None
    return {
        "rq": {
            "waiting": counts.waiting if counts else None,
            "active": counts.active if counts else None,
            "completed": counts.completed if counts else None,
            "failed": counts.failed if counts else None,
            "delayed": counts.delayed if counts else None,
            "total": counts.total if counts else None,
        },
        "redisStreams": {
            "totalMessages": entries.total_messages if entries else None,
            "pendingMessages": entries.pending_messages if entries else None,
            "dlqMessages": entries.dlq_messages if entries else None,
        },
        "kafka": {
            "topic": kafka.topic if kafka else None,
            "partitions": kafka.stats.partitions if kafka else None,
            "dlqPartitions": kafka.stats.dlq_partitions if kafka else None,
        },
    }


def outbox(board: Board) -> ByBackend[Unsent]:
    """From Redis itself: known also while a backend's service is away, when it matters most."""
    ledger = board.ledger.value

    def of(backend: Backend) -> Unsent:
        left = ledger.backlog[backend] if ledger else None
        return {"rows": left.outbox if left else None, "oldestAgeSeconds": left.outbox_oldest_age if left else None}

    return by_backend(of)


def rates(board: Board) -> Rates:
    return {"overSeconds": RATE_SECONDS, **by_backend(board.history.rates)}


def latency(board: Board) -> Latency:
    work = board.history.work()

    def of(backend: Backend) -> LaneLatency:
        wait, run = (work.wait.get(backend), work.run.get(backend)) if work else (None, None)
        return {"wait": percentiles(wait), "run": percentiles(run)}

    return {"overSeconds": LATENCY_SECONDS, **by_backend(of)}


def percentiles(histogram: Histogram | None) -> Percentiles:
    seen = histogram or Histogram()
    return {
        "count": seen.count,
        "mean": milliseconds(seen.mean),
        "p50": milliseconds(seen.quantile(0.5)),
        "p95": milliseconds(seen.quantile(0.95)),
        "p99": milliseconds(seen.quantile(0.99)),
    }


def metrics(board: Board) -> MetricsAnswer:
    ledger, work = board.ledger.value, board.totals.work
    redis = ledger.redis if ledger else None
    runs, seconds = sum(run.count for run in work.run.values()), sum(run.sum for run in work.run.values())
    return {
        "jobs": _all_jobs(board),
        "bookingsConfirmed": ledger.confirmed if ledger else None,
        "averageProcessingMs": milliseconds(seconds / runs) if runs else None,
        "queueDepth": sum(left.unfinished for left in ledger.backlog.values()) if ledger else None,
        "sla": {
            "slaSeconds": board.settings.sla_seconds,
            "overSeconds": WINDOW_SECONDS,
            "types": {
                kind: {"inTime": in_time, "total": total, "share": share(in_time, total)}
                for kind, (in_time, total) in board.history.in_time().items()
            },
        },
        "redis": {
            "opsPerSecond": redis.ops_per_second if redis else None,
            "memoryBytes": redis.memory_bytes if redis else None,
            "maxMemoryBytes": redis.max_memory_bytes if redis else None,
            "clients": redis.clients if redis else None,
            "latencyMs": redis.latency_ms if redis else None,
        },
        "machine": _machine(board),
    }


def _all_jobs(board: Board) -> AllJobCounts:
    return {"all": _jobs(board, list(Backend)), **by_backend(lambda backend: _jobs(board, [backend]))}


def _jobs(board: Board, backends: list[Backend]) -> JobCounts:
    ledger = board.ledger.value
    if ledger is None:
        return {"accepted": None, "processed": None, "failed": None, "cancelled": None, "errorRate": None}
    counted = [counts[0] for backend in backends if (counts := board.history.counted(backend, WINDOW_SECONDS))]
    dead = sum(counts["dead"] for counts in counted)
    completed = sum(counts["completed"] for counts in counted)

    def total(name: str) -> int:
        return sum(ledger.counters[backend][name] for backend in backends)

    return {
        "accepted": total("accepted"),
        "processed": total("completed"),
        "failed": total("dead"),
        "cancelled": total("cancelled"),
        "errorRate": share(dead, dead + completed) if counted else None,
    }


def _machine(board: Board) -> Machine:
    """Each worker tells its own under `workers`."""
    memory = psutil.virtual_memory()
    return {
        "cpuPercent": board.cpu.machine,
        "memoryPercent": memory.percent,
        "memoryBytes": memory.total - memory.available,
        "processMemoryBytes": board.process.memory_info().rss,
        "processCpuPercent": board.cpu.process,
    }
