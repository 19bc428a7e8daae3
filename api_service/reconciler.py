"""Brings to the brokers what the direct publish did not: late, lost or refused legs. Safe in several replicas, since
the ledger hands each row to one of them at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from api_service.link import Link
from booking_queue import logs
from booking_queue.domain.job import State
from booking_queue.ledger.backlog import Backlog
from booking_queue.ledger.outbox import Outbox
from booking_queue.metrics import Metrics

TURN_SECONDS = 0.5
BATCH = 100
LANE_SECONDS = 15.0  # between two looks at whether the lane is empty
LOST_AFTER_MS = 60_000  # on a lane without work
OVERDUE_MS = 600_000  # on one that has some
OVERDUE_AT_ONCE = 10  # copies at a look: most of what is so late just waits behind the rest
LOOKS = 100  # pages of open legs in one go; what is behind them has its turn next time
WOKEN_AT_ONCE = 1000  # as in outbox.lua

log = logs.get("reconciler")


class Reconciler:
    """One per backend. Call `turn` again and again; `link.recovered` cuts the pause short."""

    def __init__(
        self,
        link: Link,
        outbox: Outbox,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.link = link
        self._backend = link.backend
        self._outbox = outbox
        self._metrics = metrics
        self._clock = clock
        self._look_at_lane = clock() + LANE_SECONDS
        self._looked_at = 0  # so many of the oldest open legs

    async def turn(self) -> bool:
        """True when there are more rows to send now."""
        if self.link.recovered.is_set():
            self.link.recovered.clear()
            await self._wake()
        if self.link.circuit.probe_due():
            await self._probe()
        more = not self.link.circuit.open and await self._send_due()
        if self._clock() >= self._look_at_lane and not self.link.circuit.failing:
            self._look_at_lane = self._clock() + LANE_SECONDS
            await self._resend_lost()
        return more

    async def _wake(self) -> None:
        while await self._outbox.wake(self._backend) >= WOKEN_AT_ONCE:
            pass

    async def _probe(self) -> None:
        row = await self._outbox.probe(self._backend)
        sent = await self.link.send([row]) if row else []
        if all(answer.waits for answer in sent):
            await self.link.ask()

    async def _send_due(self) -> bool:
        if not self.link.budget.allows():
            return False
        rows = await self._outbox.due(self._backend, BATCH)
        if not rows:
            return False
        sent = await self.link.send_again(rows)
        arrived = sum(answer.state is not State.PENDING for answer in sent)
        if arrived:
            log.event("outbox_sent", backend=self._backend, rows=len(rows), arrived=arrived)
        return len(rows) == BATCH and arrived > 0

    async def _resend_lost(self) -> None:
        """A broker that holds nothing to run now, while legs it was given neither run nor ended, has lost them. Of one
        that always holds something that cannot be told: it is given a few of those that are long overdue once more."""
        age = await self._outbox.open_age(self._backend)
        if age < LOST_AFTER_MS:
            return
        empty = _empty(await self.link.stats())
        older, most = (LOST_AFTER_MS, 0) if empty else (OVERDUE_MS, OVERDUE_AT_ONCE)
        for _ in range(LOOKS if age >= older else 0):
            after, ids = await self._outbox.republish(self._backend, older, self._looked_at, BATCH, most)
            self._looked_at = after or 0
            if ids:
                self._metrics.legs_republished.labels(self._backend).inc(len(ids))
                log.warning("lane_lost_legs", backend=self._backend, legs=len(ids), empty=empty)
            if after is None or (ids and not empty):
                return

    def measure(self, left: Backlog) -> None:
        """Brings the gauges up to date."""
        self._metrics.outbox_oldest_age.labels(self._backend).set(left.outbox_oldest_age)
        self._metrics.outbox_legs.labels(self._backend).set(left.outbox)
        self._metrics.circuit_open.labels(self._backend).set(self.link.circuit.open)
        self._metrics.retry_budget.labels(self._backend).set(self.link.budget.left)


def _empty(stats: dict[str, Any]) -> bool:
    """Of what might run now."""
    backlog, scheduled = stats.get("backlog"), stats.get("scheduled", 0)
    return backlog is not None and backlog == scheduled
