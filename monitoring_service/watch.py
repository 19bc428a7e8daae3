"""Notices what is over before anybody looks, and what does not move."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from booking_queue.domain.job import Backend
from booking_queue.ledger.epoch import Epoch
from monitoring_service.incidents import Incidents

if TYPE_CHECKING:
    from monitoring_service.board import Board

STILL_SECONDS = 30.0
COUNTED = ("vanished", "groups_recreated", "killers", "lost")  # in the ledger, by whoever saw it
ENDS = ("completed", "dead", "retried", "cancelled")


class Watch:
    def __init__(self, epoch: Epoch, clock: Callable[[], float] = time.monotonic):
        self.incidents = Incidents(clock)
        self._epoch = epoch
        self._clock = clock
        self._ended: dict[Backend, int] = {}
        self._still: dict[Backend, float] = {}

    def look(self, board: Board) -> None:
        self.incidents.count("ledger_emptied", "ledger", self._epoch.emptied, from_zero=True)
        if ledger := board.ledger.fresh_value:
            for backend in Backend:
                for name in COUNTED:
                    self.incidents.count(name, backend.value, ledger.counters[backend][name])
        for backend in Backend:
            if lane := board.lane(backend).fresh_value:
                self._refused(backend.value, lane.ledger.writes_refused)
        for worker in board.workers.value.answering if board.workers.value else []:
            self._refused(worker.worker_id, worker.writes_refused)
            self.incidents.count("rebuilt", worker.worker_id, sum(worker.rebuilds.values()))
        for backend in Backend:
            self._look_for_movement(board, backend)

    def _refused(self, about: str, refused: dict[str, int]) -> None:
        self.incidents.count("refused", about, sum(refused.values()))

    def _look_for_movement(self, board: Board, backend: Backend) -> None:
        ledger, workers = board.ledger.fresh_value, board.workers.fresh_value
        if not (ledger and workers and board.lane(backend).fresh_value):
            self._still.pop(backend, None)
            return
        ended = sum(ledger.counters[backend][name] for name in ENDS)
        moves = ended != self._ended.get(backend) or workers.running(backend) > 0
        self._ended[backend] = ended
        may_run = workers.capacity(backend) > 0 and backend not in ledger.paused
        waits = (board.oldest_age(backend) or 0) > STILL_SECONDS and bool(board.due(backend))
        if moves or not may_run or not waits:
            self._still.pop(backend, None)
        else:
            self._still.setdefault(backend, self._clock())

    def still(self) -> dict[Backend, float]:
        """Lanes where due work waits, workers are free and nothing moves, with the seconds since it is so."""
        now = self._clock()
        return {backend: now - since for backend, since in self._still.items() if now - since >= STILL_SECONDS}
