"""The last minutes, of which the dashboard's rates and percentiles are made."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from booking_queue.domain.job import Backend
from monitoring_service.answers import Rate
from monitoring_service.totals import Work

WINDOW_SECONDS = 300
RATE_SECONDS = 10.0
LATENCY_SECONDS = 60.0

Counters = Mapping[Backend, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Moment:
    """`counters` None: the ledger could not be read then."""

    clock: float  # seconds, monotonic
    counters: Counters | None
    work: Work


class History:
    def __init__(self, every: float):
        self.every = every
        self._moments: deque[Moment] = deque(maxlen=max(2, int(WINDOW_SECONDS / every)))

    def add_moment(self, moment: Moment) -> None:
        self._moments.append(moment)

    def _earlier(self, seconds: float, *, counted: bool) -> Moment | None:
        """The oldest moment of the last `seconds`."""
        if not self._moments:
            return None
        since = self._moments[-1].clock - seconds - self.every / 2
        for moment in self._moments:
            if moment.clock >= since and (moment.counters is not None or not counted):
                return moment
        return None

    def counted(self, backend: Backend, seconds: float) -> tuple[dict[str, int], float] | None:
        """How much each counter grew, and in how many seconds; None while that cannot be told."""
        last, first = (self._moments[-1] if self._moments else None), self._earlier(seconds, counted=True)
        if last is None or first is None or last.counters is None or first.counters is None:
            return None
        passed = last.clock - first.clock
        grown = {name: value - first.counters[backend].get(name, 0) for name, value in last.counters[backend].items()}
        return (grown, passed) if passed > 0 and min(grown.values()) >= 0 else None

    def rates(self, backend: Backend, seconds: float = RATE_SECONDS) -> Rate:
        counted = self.counted(backend, seconds)

        def of(name: str) -> float | None:
            return round(counted[0][name] / counted[1], 3) if counted else None

        return {
            "acceptedPerSecond": of("accepted"),
            "completedPerSecond": of("completed"),
            "failedPerSecond": of("dead"),
            "retriedPerSecond": of("retried"),
        }

    def work(self, seconds: float = LATENCY_SECONDS) -> Work | None:
        """What workers did in the last `seconds`."""
        first = self._earlier(seconds, counted=False)
        return self._moments[-1].work.minus(first.work) if first else None

    def in_time(self) -> dict[str, tuple[int, int]]:
        """By type, of the jobs that were done in the last minutes: within SLA_SECONDS, all."""
        work = self.work(WINDOW_SECONDS)
        return {kind: pair for kind, pair in sorted(work.sla.items()) if pair[1]} if work else {}

    @property
    def emptied(self) -> bool:
        """The ledger's counters fell: Redis was emptied under us, or set back."""
        known = [moment.counters for moment in self._moments if moment.counters is not None]
        return any(
            sum(later[backend].values()) < sum(earlier[backend].values())
            for earlier, later in pairwise(known)
            for backend in later
        )
