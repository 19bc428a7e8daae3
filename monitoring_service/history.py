"""The last hour in memory, bounded: what rates, percentiles and charts are made of."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from booking_queue.domain.job import Backend
from monitoring_service.totals import Work

HISTORY_SECONDS = 3600
WINDOW_SECONDS = 300
RATE_SECONDS = 10.0
LATENCY_SECONDS = 60.0
RATES = {"accepted": "accepted", "completed": "completed", "failed": "dead", "retried": "retried"}

Counters = Mapping[Backend, Mapping[str, int]]
Point = dict[str, float | None]


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
        self._points: deque[tuple[int, Point]] = deque(maxlen=max(2, int(HISTORY_SECONDS / every)))

    def add_moment(self, moment: Moment) -> None:
        self._moments.append(moment)

    def add_point(self, at_ms: int, point: Point) -> None:
        self._points.append((at_ms, point))

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

    def rates(self, backend: Backend, seconds: float = RATE_SECONDS) -> dict[str, float | None]:
        counted = self.counted(backend, seconds)
        return {
            f"{told}PerSecond": round(counted[0][name] / counted[1], 3) if counted else None
            for told, name in RATES.items()
        }

    def work(self, seconds: float = LATENCY_SECONDS) -> Work | None:
        """What workers did in the last `seconds`."""
        first = self._earlier(seconds, counted=False)
        return self._moments[-1].work.minus(first.work) if first else None

    @property
    def emptied(self) -> bool:
        """The ledger's counters fell: somebody emptied Redis under us."""
        known = [moment.counters for moment in self._moments if moment.counters is not None]
        return any(
            sum(later[backend].values()) < sum(earlier[backend].values())
            for earlier, later in pairwise(known)
            for backend in later
        )

    def grew(self, name: str) -> bool:
        """Whether a value of the points rose in the last minutes."""
        since = self._points[-1][0] - WINDOW_SECONDS * 1000 if self._points else 0
        values = [value for at, point in self._points if at >= since and (value := point.get(name)) is not None]
        return any(later > earlier for earlier, later in pairwise(values))

    def columns(self, seconds: float, most: int) -> dict[str, Any]:
        """The last `seconds` in columns, thinned to about `most` points."""
        if not self._points:
            return {"everySeconds": self.every, "times": [], "series": {}}
        since = self._points[-1][0] - seconds * 1000
        points = [(at, point) for at, point in self._points if at >= since]
        step = max(1, -(-len(points) // most))
        points = points[(len(points) - 1) % step :: step]
        return {
            "everySeconds": self.every * step,
            "times": [at for at, _ in points],
            "series": {name: [point.get(name) for _, point in points] for name in points[-1][1]},
        }
