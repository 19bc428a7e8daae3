"""Sums over all workers, also those that have gone: what a worker did is never taken back when it leaves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from booking_queue.domain.job import Backend
from monitoring_service.sources import Buckets, InTime, WorkerStats

REMEMBERED = 5_000  # workers


def share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


@dataclass(frozen=True, slots=True)
class Histogram:
    """`counts` are cumulative by upper bound, the last bound being infinity."""

    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    sum: float = 0.0

    @classmethod
    def of(cls, said: Buckets) -> Histogram:
        bounds = tuple(float("inf") if bound is None else bound for bound in said.buckets)
        return cls(bounds, tuple(said.counts), said.sum)

    @property
    def count(self) -> int:
        return self.counts[-1] if self.counts else 0

    @property
    def mean(self) -> float | None:
        return self.sum / self.count if self.count else None

    def plus(self, other: Histogram) -> Histogram:
        return self._with(other, 1)

    def minus(self, earlier: Histogram) -> Histogram:
        return self._with(earlier, -1)

    def _with(self, other: Histogram, sign: int) -> Histogram:
        """Bounds that differ (a worker of another version) cannot be added: then the longer record wins."""
        if not other.bounds:
            return self
        if not self.bounds:
            return other if sign > 0 else self
        if self.bounds != other.bounds:
            return self
        counts = tuple(mine + sign * theirs for mine, theirs in zip(self.counts, other.counts, strict=True))
        return Histogram(self.bounds, counts, self.sum + sign * other.sum)

    def quantile(self, share: float) -> float | None:
        """Linear within a bucket; beyond the last finite bound, that bound."""
        if not self.count:
            return None
        rank, lower, below = share * self.count, 0.0, 0
        for bound, count in zip(self.bounds, self.counts, strict=True):
            if count >= rank and count > below:
                if bound == float("inf"):
                    return lower
                return lower + (bound - lower) * (rank - below) / (count - below)
            lower, below = bound, count
        return lower


@dataclass(frozen=True, slots=True)
class Work:
    """What workers did, in all, at one moment."""

    wait: dict[Backend, Histogram]
    run: dict[Backend, Histogram]
    sla: dict[str, tuple[int, int]]  # per type: in time, all

    def minus(self, earlier: Work) -> Work:
        sla = {kind: _minus_pair(pair, earlier.sla.get(kind, (0, 0))) for kind, pair in self.sla.items()}
        return Work(_minus(self.wait, earlier.wait), _minus(self.run, earlier.run), sla)


NOTHING = Work({}, {}, {})


class Totals:
    """`work`: all that workers told; `watched`: what they did since `since` (ms), when we began to look on."""

    def __init__(self, since: int) -> None:
        self.work = NOTHING
        self.watched = NOTHING
        self._since = since
        self._seen: dict[tuple[str, datetime], WorkerStats] = {}

    def add(self, workers: Iterable[WorkerStats]) -> None:
        """A worker that started anew under its old name counts from nothing."""
        for worker in workers:
            key = (worker.worker_id, worker.started_at)
            before = self._seen.pop(key, None)
            self._seen[key] = worker
            self.work = _plus(self.work, worker, before)
            if before or worker.started_at.timestamp() * 1000 >= self._since:
                self.watched = _plus(self.watched, worker, before)
        while len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]


def _plus(work: Work, worker: WorkerStats, before: WorkerStats | None) -> Work:
    wait, run, sla = dict(work.wait), dict(work.run), dict(work.sla)
    _gather(wait, worker.histograms.wait, before.histograms.wait if before else {})
    _gather(run, worker.histograms.run, before.histograms.run if before else {})
    _gather_sla(sla, worker.sla, before.sla if before else {})
    return Work(wait, run, sla)


def _gather(total: dict[Backend, Histogram], now: dict[Backend, Buckets], before: dict[Backend, Buckets]) -> None:
    for backend, said in now.items():
        new = Histogram.of(said)
        if backend in before:
            new = new.minus(Histogram.of(before[backend]))
        total[backend] = total.get(backend, Histogram()).plus(new)


def _gather_sla(total: dict[str, tuple[int, int]], now: dict[str, InTime], before: dict[str, InTime]) -> None:
    for kind, said in now.items():
        known = before.get(kind, InTime(in_time=0, total=0))
        in_time, all_ = total.get(kind, (0, 0))
        total[kind] = (in_time + said.in_time - known.in_time, all_ + said.total - known.total)


def _minus(now: dict[Backend, Histogram], earlier: dict[Backend, Histogram]) -> dict[Backend, Histogram]:
    return {backend: new.minus(earlier.get(backend, Histogram())) for backend, new in now.items()}


def _minus_pair(now: tuple[int, int], earlier: tuple[int, int]) -> tuple[int, int]:
    return now[0] - earlier[0], now[1] - earlier[1]
