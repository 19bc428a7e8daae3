"""What somebody should look at now, in plain words, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from booking_queue.clock import iso, now_ms
from booking_queue.ledger.pressure import FULL_SHARE
from monitoring_service.answers import AlarmAnswer
from monitoring_service.board import Board
from monitoring_service.incidents import Incident
from monitoring_service.remedies import REMEDIES

OUTBOX_SECONDS = 60
Alarm = tuple[str, str, str]

# By what was counted: the alarm, and what happened; {n} times.
INCIDENTS = {
    "ledger_emptied": ("ledger_emptied", "Redis was emptied, or another one took its place: its mark is gone"),
    "vanished": ("stream_entries_deleted", "{n} entries were deleted from a stream while a worker had them in hand"),
    "groups_recreated": ("stream_group_destroyed", "the consumer group was destroyed {n} times; it was made again"),
    "lost": ("broker_lost_jobs", "it held nothing more, and {n} jobs that it was given had neither run nor ended"),
    "killers": ("job_kills_workers", "{n} jobs are dead because each of their starts killed its worker"),
    "rebuilt": ("consumer_stood_still", "its Kafka consumer stood still and was replaced {n} times"),
    "refused": ("redis_refused", "Redis refused {n} of its writes"),
}


def alarms(board: Board) -> list[AlarmAnswer]:
    goes_on = [_told(*alarm) for alarm in _alarms(board)]
    return [*goes_on, *(_happened(incident) for incident in board.watch.incidents.recent())]


def _told(alarm: str, about: str, detail: str, since: str | None = None) -> AlarmAnswer:
    return {"alarm": alarm, "about": about, "detail": detail, "remedy": REMEDIES[alarm], "since": since}


def _happened(incident: Incident) -> AlarmAnswer:
    alarm, detail = INCIDENTS[incident.kind]
    since = iso(now_ms() - int(incident.seconds * 1000))
    return _told(alarm, incident.about, detail.format(n=incident.times), since)


def _alarms(board: Board) -> Iterator[Alarm]:
    for source in board.sources:
        if source.stale:
            yield "source_stale", source.name, source.error or "it has not answered yet"
    yield from _worker_alarms(board)
    yield from _ledger_alarms(board)
    yield from _redis_alarms(board)
    for backend, seconds in board.watch.still().items():
        yield "lane_stands_still", backend.value, f"due work waits, workers are free, nothing moved for {seconds:.0f} s"


def _worker_alarms(board: Board) -> Iterator[Alarm]:
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


def _ledger_alarms(board: Board) -> Iterator[Alarm]:
    if board.history.emptied:
        yield "ledger_emptied", "ledger", "its counters fell: Redis was emptied or went back to an older state"
    ledger = board.ledger.fresh_value
    if ledger is None:
        return
    for backend, left in ledger.backlog.items():
        if left.outbox_oldest_age > OUTBOX_SECONDS:
            yield "outbox_late", backend.value, f"a job has waited {left.outbox_oldest_age:.0f} s to reach its broker"


def _redis_alarms(board: Board) -> Iterator[Alarm]:
    ledger = board.ledger.fresh_value
    if ledger is None:
        return
    redis = ledger.redis
    if redis.refuses:
        yield "redis_refuses_writes", "ledger", redis.refuses
    if redis.max_memory_bytes and redis.memory_bytes > FULL_SHARE * redis.max_memory_bytes:
        yield "redis_memory", "ledger", f"{redis.memory_bytes / redis.max_memory_bytes:.0%} of maxmemory is used"
    if redis.policy not in ("", "noeviction"):
        yield "redis_evicts", "ledger", f"maxmemory-policy is {redis.policy}: set it to noeviction"
    if not redis.append_only:
        yield "redis_forgets", "ledger", "appendonly is off: a restart of Redis loses jobs"
