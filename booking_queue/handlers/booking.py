"""The booking: five steps, each done once however many legs run it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from datetime import timedelta
from typing import Any

from booking_queue.clock import iso
from booking_queue.domain.booking import CURRENCY, STEPS, Booking, Step, confirmation_number, effect_key
from booking_queue.domain.errors import RetryableError, SimulatedFailure
from booking_queue.domain.retry import Backoff
from booking_queue.handlers.base import Committed, Handler, Run
from booking_queue.ledger.effects import Stay

VALIDATE, PAYMENT, DOCUMENT, MAIL, INVENTORY = STEPS


async def run(job: Run, booking: Booking) -> dict[str, Any]:
    work = _Work(job, booking)
    held = await work.step(VALIDATE, work.hold)
    if job.claim.attempt > 1 or job.claim.earlier_starts:
        await job.effects.renew_hold(job.claim.job_id, job.settings.hold_seconds * 1000)
    if "rejected" in held:
        return {"bookingId": job.claim.job_id, "status": "rejected", "reason": held["rejected"], **work.by}
    await work.step(PAYMENT, work.charge)
    await work.step(DOCUMENT, work.document)
    await work.step(MAIL, work.mail)
    sold = await work.step(INVENTORY, work.sell)
    return {
        "bookingId": job.claim.job_id,
        "status": "confirmed",
        "confirmedAt": iso(sold["confirmedAt"]),
        "confirmationNumber": confirmation_number(job.claim.job_id),
        **work.by,
    }


class _Work:
    def __init__(self, job: Run, booking: Booking):
        self.job = job
        self.booking = booking
        self.id = job.claim.job_id
        wanted = job.settings.simulation == "on" and not job.claim.redrives  # to redrive is to say that it is mended
        self.asked = booking.simulate if wanted else None
        nights = [(booking.check_in + timedelta(days=n)).isoformat() for n in range(booking.nights)]
        self.stay = Stay(booking.hotel_id, booking.room_type, nights, job.settings.inventory_default_rooms)
        self.by = {"workerId": job.worker_id}

    async def step(self, step: Step, do: Any) -> Any:
        await self._fail_if_asked(step)
        return await self.job.once(step, do, before=lambda: self._take_time(step))

    async def _take_time(self, step: Step) -> None:
        asked = self.asked
        slow = asked.slow_ms if asked and asked.fail_at in (None, step.name) else 0
        await asyncio.sleep(step.seconds * self.job.settings.simulated_time_scale + slow / 1000)
        if random.random() < self.job.settings.simulated_failure_rate:
            raise SimulatedFailure(f"{step.name} failed at random (SIMULATED_FAILURE_RATE)")

    async def _fail_if_asked(self, step: Step) -> None:
        asked = self.asked
        if not asked or asked.fail_at != step.name:
            return
        claim = self.job.claim
        starts_left = claim.attempt == 1 and claim.earlier_starts < asked.times
        again = starts_left if asked.crash else claim.attempt <= asked.times
        if not again:
            return
        await self.job.effects.reach(claim, step)
        if asked.crash:
            os.kill(os.getpid(), signal.SIGKILL)
        first = "the first fails" if asked.times == 1 else f"the first {asked.times} fail"
        raise SimulatedFailure(f"{step.name} failed as asked (attempt {claim.attempt}; {first})")

    def key(self, step: Step) -> str:
        return effect_key(self.id, step.name, self.job.claim.round)

    @property
    def paper(self) -> dict[str, Any]:
        return {
            "bookingId": self.id,
            "confirmationNumber": confirmation_number(self.id),
            "bookedAt": iso(self.job.claim.created),
            "price": self.booking.price,
            "currency": CURRENCY,
            **self.booking.payload(),
        }

    async def hold(self) -> Committed:
        hold_ms = self.job.settings.hold_seconds * 1000
        return Committed(await self.job.effects.hold_rooms(self.job.claim, VALIDATE, self.stay, hold_ms))

    async def charge(self) -> dict[str, Any]:
        charge = await self.job.outside.payments.charge(
            self.key(PAYMENT), self.booking.price, CURRENCY, confirmation_number(self.id)
        )
        return {"chargeId": charge.id, "amount": charge.amount, "currency": charge.currency}

    async def document(self) -> dict[str, Any]:
        return await self.job.outside.documents.render_and_store(self.key(DOCUMENT), self.paper)

    async def mail(self) -> dict[str, Any]:
        message_id = await self.job.outside.mails.send_confirmation(self.id, self.paper, round_=self.job.claim.round)
        return {"messageId": message_id}

    async def sell(self) -> Committed:
        sold, result = await self.job.effects.sell_rooms(self.job.claim, INVENTORY, self.stay)
        if not sold:
            raise RetryableError(f"the hold ran out and no room is left for {result}")
        return Committed(result)


HANDLER = Handler("booking", Booking, run, backoff=Backoff(type="exponential", delay=2000), timeout_ms=120_000)
