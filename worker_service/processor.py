"""Runs one delivery, whichever broker it came from: claim, handle under a heartbeat, settle."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from booking_queue import clock, logs
from booking_queue.backends.base import Delivery
from booking_queue.backends.slots import Slots
from booking_queue.domain.errors import LeaseLost, LedgerUnavailable
from booking_queue.domain.job import Backend
from booking_queue.domain.retry import Bury, Retry, describe
from booking_queue.ledger.ledger import Claim
from worker_service.attempt import Tools, run_handler, seconds_for
from worker_service.heartbeat import Heartbeat
from worker_service.suspects import Crashed, Seat, Suspects

MAX_STARTS = 5  # without an outcome: then it is the job that kills workers
LOOK_AGAIN_SECONDS = 1.0
LEDGER_AWAY_SECONDS = 0.5
EXPIRED = "expired: its record in the ledger is gone, so it may have run before"

T = TypeVar("T")

log = logs.get("worker")


class Processor:
    """For one backend. `stop` asks it to take no new claim; `abandon` cancels what runs, which hands it back."""

    def __init__(
        self, backend: Backend, tools: Tools, slots: Slots, heartbeat: Heartbeat, suspects: Suspects | None = None
    ):
        """Without `suspects`, a job that may kill its process is run in this one."""
        self.backend = backend
        self._suspects = suspects
        self.tools = tools
        self._wait = tools.metrics.job_wait.labels(backend)
        self._run = tools.metrics.job_run.labels(backend)
        self.slots = slots
        self.heartbeat = heartbeat
        self.stopping = False

    def stop(self) -> None:
        self.stopping = True

    def abandon(self) -> None:
        self.stop()
        self.slots.cancel_all()

    async def handle(self, delivery: Delivery) -> None:
        """Returns when the delivery is settled, handed back, or not ours any more. Never raises but CancelledError."""
        claim: Claim | None = None
        nonce = ""
        with Seat(self._suspects) as seat:
            try:
                while claim := await self._claim(delivery, seat, nonce := secrets.token_hex(8)):
                    if await self._attempt(delivery, claim, seat):
                        return
                    claim = None  # the lease was lost: what became of the job decides what to do with the message
            except asyncio.CancelledError:
                if not self.stopping:
                    raise
                await self._hand_back(delivery, claim, nonce)

    async def _hand_back(self, delivery: Delivery, claim: Claim | None, nonce: str = "") -> None:
        with suppress(LedgerUnavailable, TimeoutError):  # then its lease ends by itself
            async with asyncio.timeout(2):
                await delivery.release(claim or (await self._granted(delivery, nonce) if nonce else None))

    async def _granted(self, delivery: Delivery, nonce: str) -> Claim | None:
        """A claim that was under way may have been granted: it is asked for again, or the job is held for a lease."""
        envelope, worker = delivery.envelope, self.tools.worker_id
        answer = await self.tools.ledger.claim(envelope.id, self.backend, envelope.generation, worker, nonce)
        return answer if isinstance(answer, Claim) else None

    async def _claim(self, delivery: Delivery, seat: Seat, nonce: str) -> Claim | None:
        """The right to run it; None once the message needs nothing more from us."""
        envelope = delivery.envelope
        while True:
            if self.stopping:
                await self._hand_back(delivery, None)
                return None
            answer = await self._surely(
                lambda: self.tools.ledger.claim(
                    envelope.id, self.backend, envelope.generation, self.tools.worker_id, nonce, alone=seat.alone
                )
            )
            if isinstance(answer, Claim):
                if answer.earlier_starts:  # taken over: until now its broker held it for us for less than a lease
                    await self._surely(partial(delivery.extend, answer))
                return answer
            if answer.reason == "suspect" and seat.take():
                continue
            if answer.reason in ("stale", "limited"):  # a newer copy is under way, or will be once it may start
                await self._surely(lambda: delivery.ack(None))
                return None
            if answer.reason == "missing":
                if await self._surely(lambda: delivery.bury(None, EXPIRED)):
                    self.tools.metrics.jobs_finished.labels(self.backend, "dead").inc()
                    log.event("job_dead", jobId=envelope.id, jobType=envelope.type, backend=self.backend, error=EXPIRED)
                return None
            if not await self._parked(delivery, answer.wait_ms / 1000):
                return None

    async def _parked(self, delivery: Delivery, seconds: float) -> bool:
        """Waits without a slot, keeping the message ours. False once it is not."""
        async with self.slots.parked():
            await asyncio.sleep(min(seconds, LOOK_AGAIN_SECONDS, self.tools.settings.heartbeat_seconds))
        return await self._surely(lambda: delivery.extend(None))

    async def _surely(self, call: Callable[[], Awaitable[T]]) -> T:
        """Again until the ledger answers. Every verb is a compare-and-set, so repeating it is harmless."""
        while True:
            try:
                return await call()
            except LedgerUnavailable as error:
                log.warning("ledger_unavailable", error=str(error), backend=self.backend)
                async with self.slots.parked():
                    await asyncio.sleep(LEDGER_AWAY_SECONDS * (0.5 + random.random()))

    async def _attempt(self, delivery: Delivery, claim: Claim, seat: Seat) -> bool:
        """True when settled; False when the lease was lost."""
        if claim.earlier_starts >= MAX_STARTS:
            return await self._bury_killer(delivery, claim, f"{claim.earlier_starts} starts without an outcome")
        self._log("job_started", claim, attempt=claim.attempt)
        if not claim.earlier_starts:  # it waits for its first start; what died before it ran
            could_start = max(claim.created, claim.due, claim.redriven)
            self._wait.observe(max(0, clock.now_ms() - could_start) / 1000)
        started = time.perf_counter()
        beat = self.heartbeat.of(delivery, claim)
        try:
            with beat:  # not while it is settled: a beat that crosses the ack would find the lease gone
                result = await self._run_through_outages(delivery, claim, seat)
        except LeaseLost:
            self._finished("fenced", claim, started)
            # Should only an effect have been another's, the leg is ours still: it would be held for a lease.
            await self._surely(lambda: self.tools.ledger.release(claim))
            return False
        except asyncio.CancelledError:
            if not beat.lost:
                raise
            self._uncancel()
            self._finished("fenced", claim, started)
            return False
        except Crashed as error:
            why = f"{MAX_STARTS} starts without an outcome, the last: {error}"
            return await self._bury_killer(delivery, claim, why, started)
        except Exception as error:
            return await self._failed(delivery, claim, error, started)
        settled = await self._surely(lambda: delivery.ack(claim, result))
        self._finished("completed" if settled else "fenced", claim, started)
        return settled

    async def _run_through_outages(self, delivery: Delivery, claim: Claim, seat: Seat) -> Any:
        """The ledger's absence costs the job no attempt: the handler starts over, its finished steps are kept. Nor
        does the death of a suspect's process, which is counted as a start."""
        while True:
            try:
                if seat.taken:
                    return await seat.run(claim, seconds_for(claim, self.tools.handlers.get(claim.type)))
                return await run_handler(claim, self.tools, self.slots.parked)
            except Crashed as error:
                claim = await self._start_again(claim, error)
            except LedgerUnavailable:
                if not await self._surely(partial(delivery.extend, claim)):
                    raise LeaseLost(claim.job_id) from None

    async def _start_again(self, claim: Claim, error: Crashed) -> Claim:
        if claim.earlier_starts + 1 >= MAX_STARTS:
            raise error
        if not await self._surely(lambda: self.tools.ledger.crashed(claim, str(error))):
            raise LeaseLost(claim.job_id) from None
        return replace(claim, earlier_starts=claim.earlier_starts + 1)

    @staticmethod
    def _uncancel() -> None:
        task = asyncio.current_task()
        if task:
            task.uncancel()

    async def _bury_killer(self, delivery: Delivery, claim: Claim, why: str, started: float | None = None) -> bool:
        reason = f"kills workers: {why}"
        settled = await self._surely(lambda: delivery.bury(claim, reason, killer=True))
        self._finished("dead" if settled else "fenced", claim, started, error=reason)
        return settled

    async def _failed(self, delivery: Delivery, claim: Claim, error: Exception, started: float) -> bool:
        handler = self.tools.handlers.get(claim.type)
        decision = handler.policy(claim).decide(error, claim.attempt) if handler else Bury(str(error))
        match decision:
            case Retry(delay_ms):
                settled = await self._surely(lambda: delivery.retry(claim, describe(error), delay_ms))
                outcome = "retried"
            case Bury(reason):
                settled = await self._surely(lambda: delivery.bury(claim, reason))
                outcome = "dead"
        self._finished(outcome if settled else "fenced", claim, started, error=describe(error))
        return settled

    def _finished(self, outcome: str, claim: Claim, started: float | None, **more: Any) -> None:
        """`started`: none where it did not run."""
        if started is not None:
            seconds = time.perf_counter() - started
            self._run.observe(seconds)
            more["ms"] = round(seconds * 1000, 1)
        self.tools.metrics.jobs_finished.labels(self.backend, outcome).inc()
        if outcome == "completed":
            could_start = max(claim.created + claim.options.delay, claim.redriven)
            in_time = clock.now_ms() - could_start <= self.tools.settings.sla_seconds * 1000
            self.tools.metrics.jobs_in_time.labels(claim.type, "yes" if in_time else "no").inc()
        self._log(f"job_{outcome}", claim, attempt=claim.attempt, **more)

    def _log(self, event: str, claim: Claim, **more: Any) -> None:
        log.event(event, jobId=claim.job_id, jobType=claim.type, backend=self.backend, **more)
