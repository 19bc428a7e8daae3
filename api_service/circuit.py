"""Whether a backend service is worth asking at the moment."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

FAILURES = 5  # in a row
WINDOW_SECONDS = 10.0
WINDOW_CALLS = 20  # fewer say nothing about a share
WINDOW_SHARE = 0.5
PROBE_SECONDS = 5.0
_KEPT = 200


class Circuit:
    """Opens after FAILURES in a row, or when half the calls of the last seconds failed; one success closes it.

    While it is open nobody waits for that service. A probe is due every PROBE_SECONDS while calls fail, open or not: a
    few failures that are followed by no call would otherwise stand for good.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._in_a_row = 0
        self._calls: deque[tuple[float, bool]] = deque(maxlen=_KEPT)
        self._opened = False
        self._next_probe = 0.0

    @property
    def open(self) -> bool:
        return self._opened

    @property
    def failing(self) -> bool:
        """The last call failed, whether or not that opened the circuit."""
        return self._in_a_row > 0

    def probe_due(self) -> bool:
        """True once every PROBE_SECONDS while calls fail; whoever gets it makes the probe."""
        now = self._clock()
        if not self.failing or now < self._next_probe:
            return False
        self._next_probe = now + PROBE_SECONDS
        return True

    def succeeded(self) -> None:
        if self._opened:
            self._calls.clear()
        self._in_a_row, self._opened = 0, False
        self._calls.append((self._clock(), True))

    def failed(self) -> None:
        now = self._clock()
        self._in_a_row += 1
        self._calls.append((now, False))
        if self._in_a_row == 1:
            self._next_probe = now + PROBE_SECONDS
        self._opened = self._opened or self._in_a_row >= FAILURES or self._mostly_fails(now)

    def _mostly_fails(self, now: float) -> bool:
        recent = [succeeded for at, succeeded in self._calls if at > now - WINDOW_SECONDS]
        return len(recent) >= WINDOW_CALLS and recent.count(False) >= WINDOW_SHARE * len(recent)
