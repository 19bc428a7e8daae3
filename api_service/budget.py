"""How many retries may be lost on a backend that only half works.

The circuit takes care of one that fails; a share of failures too small to open it would still be doubled by retries.
Only what fails is paid for, so that a backend which has recovered gets what waited for it at full speed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

SHARE = 0.2  # of the first tries
SPARE = 10.0  # at most saved up
SECONDS_EACH = 5.0  # one comes by itself in this time: without any traffic the outbox is tried all the same


class RetryBudget:
    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._at = clock()
        self._left = SPARE

    @property
    def left(self) -> float:
        """Failed retries that may still be made."""
        now = self._clock()
        self._left = min(SPARE, self._left + (now - self._at) / SECONDS_EACH)
        self._at = now
        return self._left

    def allows(self) -> bool:
        return self.left >= 1

    def tried(self) -> None:
        """Something was sent for the first time."""
        self._left = min(SPARE, self.left + SHARE)

    def retry_failed(self) -> None:
        self._left = self.left - 1
