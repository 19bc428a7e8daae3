"""The board as /dashboard tells it. What is not known is null, with its age beside it; nothing here can fail."""

from __future__ import annotations

from typing import Any

import psutil

from booking_queue.clock import iso, now_ms
from booking_queue.domain.job import Backend
from monitoring_service.alarms import alarms
from monitoring_service.board import Board, milliseconds
from monitoring_service.history import LATENCY_SECONDS, RATE_SECONDS, WINDOW_SECONDS
from monitoring_service.sources import KafkaStats, RqStats, StreamStats
from monitoring_service.totals import Histogram, share
from monitoring_service.workforce import workers

PERCENTILES = (0.5, 0.95, 0.99)


def dashboard(board: Board) -> dict[str, Any]:
    return {
        "timestamp": iso(now_ms()),
        "queues": queues(board),
        "rates": rates(board),
        "latency": latency(board),
        "backlog": {backend.value: board.backlog(backend) for backend in Backend},
        "oldestAgeSeconds": {backend.value: board.oldest_age(backend) for backend in Backend},
        "outbox": outbox(board),
        "workers": workers(board),
        "metrics": metrics(board),
        "alarms": alarms(board),
        "staleness": {source.name: source.staleness() for source in board.sources},
    }


def queues(board: Board) -> dict[str, Any]:
    """Exactly the members that the older dashboard had; the last known, or null."""
    rq: RqStats | None = board.rq.value
    streams: StreamStats | None = board.streams.value
    kafka: KafkaStats | None = board.kafka.value
    counts = rq.stats if rq else None
    entries = streams.stats if streams else None
    return {
        Backend.RQ.value: {
            name: getattr(counts, name, None)
            for name in ("waiting", "active", "completed", "failed", "delayed", "total")
        },
        Backend.STREAMS.value: {
            "totalMessages": entries.total_messages if entries else None,
            "pendingMessages": entries.pending_messages if entries else None,
            "dlqMessages": entries.dlq_messages if entries else None,
        },
        Backend.KAFKA.value: {
            "topic": kafka.topic if kafka else None,
            "partitions": kafka.stats.partitions if kafka else None,
            "dlqPartitions": kafka.stats.dlq_partitions if kafka else None,
        },
    }


def outbox(board: Board) -> dict[str, Any]:
    """From Redis itself: known also while a backend's service is away, when it matters most."""
    ledger = board.ledger.value
    return {
        backend.value: {
            "rows": ledger.backlog[backend].outbox if ledger else None,
            "oldestAgeSeconds": ledger.backlog[backend].outbox_oldest_age if ledger else None,
        }
        for backend in Backend
    }


def rates(board: Board) -> dict[str, Any]:
    """Per second, over the last `overSeconds`."""
    return {"overSeconds": RATE_SECONDS, **{backend.value: board.history.rates(backend) for backend in Backend}}


def latency(board: Board) -> dict[str, Any]:
    """Milliseconds, over the last `overSeconds`: waiting (until the start) and running (one attempt)."""
    work = board.history.work()
    found: dict[str, Any] = {"overSeconds": LATENCY_SECONDS}
    for backend in Backend:
        found[backend.value] = {
            "wait": percentiles(work.wait.get(backend) if work else None),
            "run": percentiles(work.run.get(backend) if work else None),
        }
    return found


def percentiles(histogram: Histogram | None) -> dict[str, Any]:
    seen = histogram or Histogram()
    shares = {f"p{share * 100:g}": milliseconds(seen.quantile(share)) for share in PERCENTILES}
    return {"count": seen.count, "mean": milliseconds(seen.mean), **shares}


def metrics(board: Board) -> dict[str, Any]:
    ledger, work = board.ledger.value, board.totals.work
    redis = ledger.redis if ledger else None
    runs, seconds = sum(run.count for run in work.run.values()), sum(run.sum for run in work.run.values())
    return {
        "jobs": {**{backend.value: _jobs(board, [backend]) for backend in Backend}, "all": _jobs(board, list(Backend))},
        "bookingsConfirmed": ledger.confirmed if ledger else None,
        "averageProcessingMs": milliseconds(seconds / runs) if runs else None,
        "queueDepth": sum(left.unfinished for left in ledger.backlog.values()) if ledger else None,
        "sla": {
            "slaSeconds": board.settings.sla_seconds,
            "types": {
                kind: {"inTime": in_time, "total": total, "share": share(in_time, total)}
                for kind, (in_time, total) in sorted(work.sla.items())
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


def _jobs(board: Board, backends: list[Backend]) -> dict[str, Any]:
    """Legs since the ledger began; `errorRate` over the last five minutes."""
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


def _machine(board: Board) -> dict[str, Any]:
    """Where the monitoring service runs; each worker tells its own under `workers`."""
    memory = psutil.virtual_memory()
    return {
        "cpuPercent": psutil.cpu_percent(),
        "memoryPercent": memory.percent,
        "memoryBytes": memory.total - memory.available,
        "processMemoryBytes": board.process.memory_info().rss,
        "processCpuPercent": board.process.cpu_percent(),
    }
