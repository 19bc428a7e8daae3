"""What is put down of the board at each tick."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from booking_queue.domain.job import Backend
from monitoring_service.chart import BOUNDS, RATES, bucket
from monitoring_service.ledger_reader import LedgerNumbers
from monitoring_service.poller import Source
from monitoring_service.totals import NOTHING, Histogram, Work

if TYPE_CHECKING:
    from monitoring_service.board import Board

Values = dict[str, float | None]


class Sampler:
    """Turns counts that only grow into what was added since the sample before."""

    def __init__(self) -> None:
        self._ledger: tuple[float, LedgerNumbers] | None = None
        self._work = NOTHING

    def sample(self, board: Board) -> Values:
        return {**_standing(board), **self._counted(board.ledger), **self._worked(board.totals.watched)}

    def _counted(self, source: Source[LedgerNumbers]) -> Values:
        """Nothing unless the ledger was read anew; after an outage, all that was added in it."""
        before, now, at = self._ledger, source.value, source.answered
        if now is None or at is None or (before and now is before[1]):
            return {}
        self._ledger = (at, now)
        if before is None:
            return {}
        added: Values = {
            f"+{backend.value}.{name}": now.counters[backend][name] - before[1].counters[backend][name]
            for backend in Backend
            for name in RATES.values()
        }
        if any(value is not None and value < 0 for value in added.values()):
            return {}  # emptied, or set back: what was added cannot be told
        return {"+counted": at - before[0], **added}

    def _worked(self, now: Work) -> Values:
        before, self._work = self._work, now
        if now is before:
            return {}
        found: Values = {}
        for what, lanes, earlier in (("wait", now.wait, before.wait), ("run", now.run, before.run)):
            for backend, seen in lanes.items():
                found |= _buckets(backend, what, seen.minus(earlier.get(backend, Histogram())))
        for kind, (in_time, total) in now.sla.items():
            known = before.sla.get(kind, (0, 0))
            found |= {f"+sla.{kind}.inTime": in_time - known[0], f"+sla.{kind}.total": total - known[1]}
        return found


def _buckets(backend: Backend, what: str, seen: Histogram) -> Values:
    if seen.bounds != BOUNDS[what]:
        return {}  # of a worker of another version
    single = [seen.counts[0], *(after - before for before, after in pairwise(seen.counts))]
    return {bucket(backend, what, place): count for place, count in enumerate(single)}


def _standing(board: Board) -> Values:
    workers, ledger = board.workers.fresh_value, board.ledger.fresh_value
    values: Values = {"workers": len(workers.alive) if workers else None}
    for backend in Backend:
        lane: Values = {
            "backlog": ledger.backlog[backend].unfinished if ledger else None,
            "waiting": board.waiting(backend) if board.heard(backend) else None,
            "running": workers.running(backend) if workers else None,
            "oldestAgeSeconds": board.oldest_age(backend) if board.heard(backend) else None,
            "outbox": ledger.backlog[backend].outbox if ledger else None,
        }
        values |= {f"{backend.value}.{name}": value for name, value in lane.items()}
    streams, redis = board.streams.fresh_value, ledger.redis if ledger else None
    values["redisStreams.alarms"] = sum(streams.alarms.values()) if streams else None
    values["redis.opsPerSecond"] = redis.ops_per_second if redis else None
    values["redis.memoryBytes"] = redis.memory_bytes if redis else None
    values["redis.latencyMs"] = redis.latency_ms if redis else None
    return values
