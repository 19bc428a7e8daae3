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
LOST_AFTER_MS = 60_000
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
        if row:
            await self.link.send([row])

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
        """A broker that holds nothing, while legs it was given neither run nor ended, has lost them."""
        if await self._outbox.open_age(self._backend) < LOST_AFTER_MS or not _empty(await self.link.stats()):
            return
        for _ in range(LOOKS):
            after, ids = await self._outbox.republish(self._backend, LOST_AFTER_MS, self._looked_at, BATCH)
            self._looked_at = after or 0
            if ids:
                self._metrics.legs_republished.labels(self._backend).inc(len(ids))
                log.warning("lane_lost_legs", backend=self._backend, legs=len(ids))
            if after is None:
                return

    def measure(self, left: Backlog) -> None:
        """Brings the gauges up to date."""
        self._metrics.outbox_oldest_age.labels(self._backend).set(left.outbox_oldest_age)
        self._metrics.outbox_legs.labels(self._backend).set(left.outbox)
        self._metrics.circuit_open.labels(self._backend).set(self.link.circuit.open)
        self._metrics.retry_budget.labels(self._backend).set(self.link.budget.left)


def _empty(stats: dict[str, Any]) -> bool:
    return stats.get("backlog") == 0
