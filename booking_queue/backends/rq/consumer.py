"""An asyncio worker on RQ's queues. It leases what it takes, so that a crash costs seconds."""

from __future__ import annotations

import asyncio
import random
import secrets
from typing import Any

from booking_queue import logs
from booking_queue.backends.base import Handle
from booking_queue.backends.rq.delivery import RqDelivery, Taken, do, reasons
from booking_queue.backends.rq.peeks import Peeks, first
from booking_queue.backends.rq.strangers import adopt, options_of
from booking_queue.backends.rq.tender import Tender
from booking_queue.backends.slots import Slots
from booking_queue.domain.errors import BookingQueueError, LedgerUnavailable, UnreadableMessage
from booking_queue.domain.job import Backend, Priority
from booking_queue.handlers import registry
from booking_queue.ledger.ledger import Ledger
from booking_queue.ledger.script import Scripts
from booking_queue.settings import Settings
from booking_queue.tasks import end

QUEUE = "booking-queue"
MOST_AT_ONCE = 64  # jobs a take: bounds how long its script holds Redis
LOOK_AGAIN_SECONDS = 1.0  # should a word be missed, and while RQ is suspended
AWAY_SECONDS = 2.0  # at most, between tries while Redis does not answer

log = logs.get("rq")


def queue_name(settings: Settings, level: Priority) -> str:
    return f"{settings.name_prefix}{QUEUE}{level.suffix}"


class RqConsumer:
    backend = Backend.RQ

    def __init__(self, settings: Settings, scripts: Scripts, worker_id: str):
        self._scripts = scripts
        self._settings = settings
        self._ledger = Ledger(scripts)
        self._worker_id = worker_id
        self._levels = {queue_name(settings, level): level for level in Priority}
        self._tender = Tender(scripts, settings, worker_id)
        self._starts = 0
        self._failures = 0
        self._nonce = secrets.token_hex(8)  # of the next taking, until its answer is here

    async def open(self) -> None:
        """Nothing: what it needs is opened while it runs."""

    async def close(self) -> None:
        """Nothing is left open after `run`."""

    def details(self) -> dict[str, Any]:
        return {}

    async def run(self, handle: Handle, slots: Slots, stop: asyncio.Event) -> None:
        peeks = Peeks(self._settings, [f"rq:queue:{queue}" for queue in self._levels])
        beside = [*peeks.start(), *self._tender.start(lambda: slots.tasks > 0)]
        try:
            while not stop.is_set():
                await self._turn(handle, slots, peeks, stop)
            await slots.drained()
            await self._tender.leave()
        finally:
            await end(*beside)
            await peeks.close()

    async def _turn(self, handle: Handle, slots: Slots, peeks: Peeks, stop: asyncio.Event) -> None:
        if not slots.free:
            await first(slots.available(), stop)
            return
        jobs = await self._take(min(slots.free, MOST_AT_ONCE), stop)
        if jobs is None:
            return
        if stop.is_set():
            await asyncio.gather(*(self._hand_back(taken) for taken in jobs))
            return
        for taken in jobs:
            self._starts += 1
            slots.start(self._run(taken, handle))
        if not jobs:
            await peeks.wait(stop, LOOK_AGAIN_SECONDS)

    async def _take(self, wanted: int, stop: asyncio.Event) -> list[Taken] | None:
        """None after a pause: nothing may be taken now."""
        try:
            answer = await self._scripts.call("rq_take", self._worker_id, wanted, self._starts, self._nonce)
        except BookingQueueError as error:
            self._failures += 1
            if self._failures == 1 or not isinstance(error, LedgerUnavailable):
                log.warning("rq_take_failed", why=str(error))
            pause = min(AWAY_SECONDS, 0.1 * 2**self._failures) * (0.5 + random.random())
            await first(asyncio.sleep(pause), stop)
            return None
        self._failures = 0
        self._nonce = secrets.token_hex(8)
        if answer == [b"suspended"]:
            await first(asyncio.sleep(LOOK_AGAIN_SECONDS), stop)
            return None
        return [Taken.of(job, self._worker_id) for job in answer]

    async def _run(self, taken: Taken, handle: Handle) -> None:
        """One job, in its slot. What goes wrong here costs a lease: then the job is taken again."""
        entry = taken.entry
        try:
            try:
                delivery = RqDelivery.of(self._scripts, taken, registry(), self._tender.tally)
                if delivery.foreign and not taken.known:
                    options = options_of(taken.retries_left, taken.timeout, self._levels[entry.queue])
                    await adopt(self._ledger, delivery.envelope, options)
            except UnreadableMessage as error:
                log.warning("job_unreadable", jobId=entry.job_id, queueName=entry.queue, why=str(error))
                await do(self._scripts, "rq_condemn", entry, None, *reasons(str(error)))
                return
            await handle(delivery)
        except LedgerUnavailable as error:
            log.warning("ledger_unavailable", jobId=entry.job_id, why=str(error))
        except Exception as error:
            log.error("delivery_failed", jobId=entry.job_id, exc=error)

    async def _hand_back(self, taken: Taken) -> None:
        try:
            await do(self._scripts, "rq_release", taken.entry, None)
        except BookingQueueError as error:
            log.warning("hand_back_failed", jobId=taken.entry.job_id, why=str(error))
