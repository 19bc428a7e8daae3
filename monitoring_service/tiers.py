"""What was seen, in a bounded space: every second of the last 15 minutes, every ten seconds of the last 24 hours.

A name that begins with `+` counts what was added since the sample before: such values add up, so rates and percentiles
of any stretch are exact. All others are how things stood at the end of it.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate

FINE_SECONDS = 900
COARSE_EVERY = 10.0
COARSE_SECONDS = 86_400
MOST_NAMES = 600  # about 20 MB at worst; a name too many is not kept

Sample = Mapping[str, float | None]


def adds_up(name: str) -> bool:
    return name.startswith("+")


class Tier:
    """Columns of numbers, as long as they are kept. An unknown count is 0, any other unknown is NaN."""

    def __init__(self, every: float, seconds: float):
        self.every = every
        self.kept = max(2, int(seconds / every))
        self.times = array("q")  # ms
        self.columns: dict[str, array[float]] = {}

    def append(self, at_ms: int, sample: Sample) -> None:
        for name in sample:
            if name not in self.columns and len(self.columns) < MOST_NAMES:
                self.columns[name] = _blank(name, len(self.times))
        self.times.append(at_ms)
        for name, column in self.columns.items():
            value = sample.get(name)
            column.append(value if value is not None else 0.0 if adds_up(name) else math.nan)
        if len(self.times) > self.kept + self.kept // 10:  # not at each one: it moves everything
            self._forget(len(self.times) - self.kept)

    def _forget(self, number: int) -> None:
        del self.times[:number]
        for column in self.columns.values():
            del column[:number]

    def since(self, at_ms: int) -> int:
        """The place of the first sample that is not older."""
        return max(bisect_left(self.times, at_ms), len(self.times) - self.kept, 0)

    def last(self, name: str, first: int, end: int) -> float | None:
        column = self.columns[name]
        if not math.isnan(column[end - 1]):
            return column[end - 1]
        return next((value for value in reversed(column[first:end]) if not math.isnan(value)), None)


class Sums:
    """What was added in any stretch of a tier from `first` on: each column is gone through once, however many are asked
    for, and one in which nothing was added not even that."""

    def __init__(self, tier: Tier, first: int):
        self._first = first
        self._columns: dict[str, array[float]] = {}
        for name, column in tier.columns.items():
            if adds_up(name) and any(column[first:]):
                self._columns[name] = array("d", accumulate(column[first:], initial=0.0))

    def total(self, name: str, first: int, end: int) -> float:
        column = self._columns.get(name)
        return column[end - self._first] - column[first - self._first] if column else 0.0

    def __contains__(self, name: str) -> bool:
        return name in self._columns


def _blank(name: str, length: int) -> array[float]:
    return array("f", [0.0]) * length if adds_up(name) else array("d", [math.nan]) * length


class Tiers:
    """The same samples, fine for a while and coarse for a day."""

    def __init__(self, every: float):
        self.fine = Tier(every, FINE_SECONDS)
        self.coarse = Tier(COARSE_EVERY, COARSE_SECONDS)
        self._gathered: dict[str, float | None] = {}
        self._slot = 0

    def append(self, at_ms: int, sample: Sample) -> None:
        if self.fine.times and at_ms <= self.fine.times[-1]:
            return  # the machine's clock was put back: until it has caught up nothing can be put in order
        slot = int(at_ms / (COARSE_EVERY * 1000))
        if slot != self._slot:
            self._close_slot()
            self._slot = slot
        for name, value in sample.items():
            if adds_up(name):
                self._gathered[name] = (self._gathered.get(name) or 0.0) + (value or 0.0)
            elif value is not None or name not in self._gathered:
                self._gathered[name] = value
        self.fine.append(at_ms, sample)

    def _close_slot(self) -> None:
        if self._gathered:
            self.coarse.append(int((self._slot + 1) * COARSE_EVERY * 1000) - 1, self._gathered)
        self._gathered = {}
