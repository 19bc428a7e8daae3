"""Ends a worker whose event loop stands still. A handler that blocks, where it should await, holds up every job and
every lease of its worker, and no time limit of asyncio's reaches it: the start is one without an outcome.

A thread counts how often it woke while the loop did not turn. It does not ask a clock: where a worker was frozen, or
its machine asleep, both go on together, and the loop turns before the thread has counted far. Only what keeps Python's
own lock all the while, as a library in C may, stops the thread too.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress

from booking_queue import logs

LOOKS = 20  # in vain, in the time that the loop is given
TELL_SECONDS = 1.0

log = logs.get("worker")


class Standstill:
    """`seconds`: for one turn of the loop; `job_types`: of what is in hand."""

    def __init__(self, seconds: float, job_types: Callable[[], list[str]]):
        self._every = seconds / LOOKS
        self._job_types = job_types
        self._turns = 0
        self._loop_thread = 0

    async def watch(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        self._loop_thread = threading.get_ident()
        over = threading.Event()
        threading.Thread(target=self._look, args=(over,), daemon=True).start()
        try:
            while not stop.is_set():
                self._turns += 1
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._every):
                        await stop.wait()
        finally:
            over.set()

    def _look(self, over: threading.Event) -> None:
        seen, in_vain = 0, 0
        while not over.wait(self._every):
            in_vain = in_vain + 1 if self._turns == seen else 0
            seen = self._turns
            if in_vain == LOOKS:
                self._end()

    def _end(self) -> None:
        telling = threading.Thread(target=self._tell, daemon=True)
        telling.start()
        telling.join(TELL_SECONDS)  # what blocks may be the log itself
        os._exit(1)

    def _tell(self) -> None:
        at = traceback.extract_stack(sys._current_frames()[self._loop_thread])[-1]
        where = f"{at.filename}:{at.lineno} in {at.name}"
        log.error("event_loop_stands_still", seconds=self._every * LOOKS, jobTypes=self._job_types(), at=where)
