"""The workers as /dashboard tells them: what each does, and how many the work asks for."""

from __future__ import annotations

from booking_queue.domain.job import Backend
from monitoring_service.answers import Desired, WorkerAnswer, WorkersAnswer, by_backend
from monitoring_service.board import Board
from monitoring_service.desired import Load, desired_workers
from monitoring_service.history import LATENCY_SECONDS
from monitoring_service.totals import share
from monitoring_service.workers import Worker, Workers

FORMULA = (
    "ceil((R + sqrt(R)) / slots), R = (arrivals + (waiting + running) / slaSeconds) * mean run time; "
    "the largest of the lanes that are not paused"
)


def workers(board: Board) -> WorkersAnswer:
    known = board.workers.value
    seen = known or Workers([], {})
    return {
        "count": len(seen.alive) if known else None,
        "active": sum(any(stats.running.values()) for stats in seen.answering) if known else None,
        "running": by_backend(lambda backend: seen.running(backend) if known else None),
        "capacity": by_backend(lambda backend: seen.capacity(backend) if known else None),
        "utilisation": by_backend(lambda backend: share(seen.running(backend), seen.capacity(backend))),
        "list": [_worker(worker, board) for worker in seen.alive],
        "lost": [{"id": name, "lastSeenSeconds": age} for name, age in seen.lost.items()],
        "desired": _desired(board),
    }


def _worker(worker: Worker, board: Board) -> WorkerAnswer:
    known, stats = worker.presence, worker.stats
    return {
        "id": known.id,
        "host": known.host,
        "pid": known.pid,
        "startedAt": known.started_at,
        "lastHeartbeatSeconds": worker.heard,
        "running": _by_name(stats.running) if stats else None,
        "capacity": _by_name(stats.capacity) if stats else None,
        "jobs": stats.jobs if stats else None,
        "partitions": stats.partitions if stats else None,
        "idle": _idle(worker, board),
        "processed": sum(stats.processed.values()) if stats else None,
        "failed": sum(stats.failed.values()) if stats else None,
        "memoryBytes": stats.memory_bytes if stats else None,
        "cpuPercent": stats.cpu_percent if stats else None,
        "error": worker.error,
    }


def _by_name(counts: dict[Backend, int]) -> dict[str, int]:
    """orjson takes plain strings for keys."""
    return {backend.value: count for backend, count in counts.items()}


def _idle(worker: Worker, board: Board) -> str | None:
    """Why it gets nothing from Kafka, where it could."""
    seen = board.workers.value
    if not worker.stats or worker.stats.partitions is None or worker.stats.partitions or seen is None:
        return None
    consumers = [stats for stats in seen.answering if stats.partitions is not None]
    taken = sum(len(stats.partitions or []) for stats in consumers)
    kafka = board.kafka.fresh_value
    if kafka is None or not taken:
        return "It has no Kafka partition yet: it is joining the group, or Kafka does not answer."
    if len(consumers) > len(kafka.offsets):
        return (
            f"Kafka gives each partition to one consumer: {len(consumers)} consumers share {len(kafka.offsets)} "
            "partitions, so this one has none. It takes over when another leaves; more partitions would give it work."
        )
    return "It has no Kafka partition yet: the group is sharing them out anew."


def _desired(board: Board) -> Desired:
    return {"count": desired_count(board), "byBackend": by_backend(lambda lane: _lane(board, lane)), "formula": FORMULA}


def desired_count(board: Board) -> int | None:
    return max((count for backend in Backend if (count := _lane(board, backend)) is not None), default=None)


def _lane(board: Board, backend: Backend) -> int | None:
    """None for one whose run time is not known yet, or which no worker consumes. More do nothing for a paused one."""
    seen, ledger = board.workers.value, board.ledger.value
    due, work = board.due(backend), board.history.work()
    run = work.run.get(backend) if work else None
    mean = (run.mean if run else None) or _ever(board, backend)
    slots = [count for stats in (seen.answering if seen else []) if (count := stats.capacity.get(backend, 0))]
    if due is None or mean is None or not slots:
        return None
    rates = board.history.rates(backend, LATENCY_SECONDS)
    arrivals = (rates["acceptedPerSecond"] or 0) + (rates["retriedPerSecond"] or 0)
    rests = ledger is not None and backend in ledger.paused
    load = Load(0 if rests else due, 0 if rests else arrivals, mean, sum(slots) / len(slots))
    return desired_workers(load, board.settings.sla_seconds)


def _ever(board: Board, backend: Backend) -> float | None:
    run = board.totals.work.run.get(backend)
    return run.mean if run else None
