"""What happened and is over, told for a while: counts that rose since they were first seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

TOLD_SECONDS = 900.0
REMEMBERED = 2_000


@dataclass(slots=True)
class _Seen:
    count: int
    times: int = 0
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    kind: str
    about: str
    times: int
    seconds: float  # since the last


class Incidents:
    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._seen: dict[tuple[str, str], _Seen] = {}

    def count(self, kind: str, about: str, count: int, *, from_zero: bool = False) -> None:
        """`count` only grows; one that fell began anew. `from_zero`: also what it counted before it was first seen."""
        seen = self._seen.pop((kind, about), None) or _Seen(0 if from_zero else count)
        self._seen[kind, about] = seen  # what was not counted for the longest time is forgotten first
        if count > seen.count:
            seen.times = count - seen.count + (seen.times if self._told(seen) else 0)
            seen.at = self._clock()
        seen.count = count
        while len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def recent(self) -> list[Incident]:
        now = self._clock()
        return [
            Incident(kind, about, seen.times, now - seen.at)
            for (kind, about), seen in self._seen.items()
            if seen.at is not None and self._told(seen)
        ]

    def _told(self, seen: _Seen) -> bool:
        return seen.at is not None and self._clock() - seen.at < TOLD_SECONDS
