"""What somebody should look at now."""

from __future__ import annotations

from collections.abc import Iterator

from booking_queue.domain.job import Backend
from monitoring_service.board import Board

OUTBOX_SECONDS = 60
MEMORY_SHARE = 0.85


def alarms(board: Board) -> list[dict[str, str]]:
    """`about` names the source or backend."""
    return [{"alarm": alarm, "about": about, "detail": detail} for alarm, about, detail in _alarms(board)]


def _alarms(board: Board) -> Iterator[tuple[str, str, str]]:
    for source in board.sources:
        if source.stale:
            yield "source_stale", source.name, source.error or "it has not answered yet"
    yield from _worker_alarms(board)
    yield from _redis_alarms(board)
    if board.history.grew("redisStreams.alarms"):
        yield "stream_meddled_with", Backend.STREAMS, "entries in hand were deleted, or a group was made anew"


def _worker_alarms(board: Board) -> Iterator[tuple[str, str, str]]:
    workers = board.workers.fresh_value
    if workers is None:
        return
    if not workers.alive:
        yield "no_worker", "workers", "jobs are accepted and wait: start a worker"
    for name, age in workers.lost.items():
        yield "worker_lost", name, f"no heartbeat for {age:.0f} s; its jobs run again elsewhere"
    for worker in workers.alive:
        if worker.error:
            yield "worker_silent", worker.presence.id, worker.error


def _redis_alarms(board: Board) -> Iterator[tuple[str, str, str]]:
    if board.history.emptied:
        yield "ledger_emptied", "ledger", "its counters fell: Redis was emptied or went back to an older state"
    ledger = board.ledger.fresh_value
    if ledger is None:
        return
    for backend, left in ledger.backlog.items():
        if left.outbox_oldest_age > OUTBOX_SECONDS:
            yield "outbox_late", backend, f"a job has waited {left.outbox_oldest_age:.0f} s to reach its broker"
    redis = ledger.redis
    if redis.max_memory_bytes and redis.memory_bytes > MEMORY_SHARE * redis.max_memory_bytes:
        yield "redis_memory", "ledger", f"{redis.memory_bytes / redis.max_memory_bytes:.0%} of maxmemory is used"
    if redis.policy not in ("", "noeviction"):
        yield "redis_evicts", "ledger", f"maxmemory-policy is {redis.policy}: set it to noeviction"
    if not redis.append_only:
        yield "redis_forgets", "ledger", "appendonly is off: a restart of Redis loses jobs"
