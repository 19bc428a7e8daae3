"""Bookings that are cancelled while their workers charge them: in the end nobody has paid for one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from booking_queue.ledger.record import Record
from tests.faults.breaks import pause
from tests.faults.conftest import size
from tests.faults.lab import Trial
from tests.faults.load import BACKENDS, bookings
from tests.faults.observe import Observer
from tests.faults.processes import ProcessLab
from tests.faults.results import Results

PER_SECOND = 40


class Clerk:
    """Cancels bookings, and keeps what each was answered with."""

    def __init__(self, lab: ProcessLab, trial: Trial, http: httpx.AsyncClient):
        self._url = f"{lab.suite.url('api_service')}/api/bookings"
        self._trial = trial
        self._http = http

    async def cancel(self, booking: str, after: float = 0) -> int:
        await asyncio.sleep(after)
        answer = await self._http.delete(f"{self._url}/{booking}")
        self._trial.cancels[booking] = answer.status_code
        return answer.status_code

    async def cancelled(self, booking: str) -> None:
        async with asyncio.timeout(30):
            while (await self._http.get(f"{self._url}/{booking}/status")).json()["state"] != "cancelled":
                await asyncio.sleep(0.02)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as http:
        yield http


@pytest.fixture
async def observer(shared_lab: ProcessLab) -> AsyncIterator[Observer]:
    observer = shared_lab.observer()
    yield observer
    await observer.close()


async def all_are(observer: Observer, hotel: str, what: Callable[[Record], bool]) -> list[str]:
    """Once there is a booking for each backend and all of them are like this; their ids."""
    async with asyncio.timeout(30):
        while True:
            records = await observer.records(lambda record: record.data.get("hotelId") == hotel)
            if len(records) == len(BACKENDS) and all(what(record) for record in records):
                return [record.id for record in records]
            await asyncio.sleep(0.01)


def about_to_charge(record: Record) -> bool:
    payment = record.effects.get("payment")
    return payment is not None and payment.state == "claimed"


def charged_unheard(record: Record) -> bool:
    return all(leg.generation > 1 for leg in record.legs.values())


async def test_a_worker_stopped_before_its_charge_and_continued_after_the_cancel(
    shared_lab: ProcessLab, observer: Observer, http: httpx.AsyncClient
) -> None:
    lab, trial = shared_lab, Trial(shared_lab, "stopped")
    await lab.started()
    clerk = Clerk(lab, trial, http)

    async def cancel_meanwhile(sent: asyncio.Event) -> None:
        await all_are(observer, "stopped", about_to_charge)
        for worker in lab.workers:
            lab.freeze_worker(worker)
        jobs = await all_are(observer, "stopped", about_to_charge)
        assert [await clerk.cancel(job) for job in jobs] == [202] * len(BACKENDS)
        for job in jobs:
            await clerk.cancelled(job)
        for worker in lab.workers:
            lab.thaw_worker(worker)

    verdict = await trial.run(bookings("stopped", 1, BACKENDS, slow_share=1, slow_ms=2500), cancel_meanwhile)
    assert not verdict.wrong, str(verdict)
    assert not trial.history.charges


async def test_a_charge_whose_reply_was_lost_and_then_the_cancel(
    shared_lab: ProcessLab, observer: Observer, http: httpx.AsyncClient
) -> None:
    lab, trial = shared_lab, Trial(shared_lab, "unheard")
    await lab.started()
    clerk, faults = Clerk(lab, trial, http), f"{lab.suite.url('providers')}/faults"
    await http.put(faults, json={"payment": {"loseNext": len(BACKENDS)}})

    async def cancel_afterwards(sent: asyncio.Event) -> None:
        jobs = await all_are(observer, "unheard", charged_unheard)
        assert [await clerk.cancel(job) for job in jobs] == [202] * len(BACKENDS)

    verdict = await trial.run(bookings("unheard", 1, BACKENDS), cancel_afterwards)
    assert not verdict.wrong, str(verdict)
    assert list(trial.history.charges.values()) == list(trial.history.refunds.values()) == [1] * len(BACKENDS)


async def test_cancels_that_race(shared_lab: ProcessLab, http: httpx.AsyncClient, results: Results) -> None:
    """At any moment of a booking's life. Who is told that it is being cancelled has not paid in the end."""
    lab, trial = shared_lab, Trial(shared_lab, "recanted")
    await lab.started()
    clerk = Clerk(lab, trial, http)

    async def cancel_each(sent: asyncio.Event) -> None:
        asked: list[asyncio.Task[int]] = []
        while await pause(0.01, sent) or (trial.load and len(asked) < len(trial.load.acked)):
            for booking in trial.load.acked[len(asked) :] if trial.load else ():
                asked.append(asyncio.create_task(clerk.cancel(booking, random.uniform(0, 0.5))))
        assert set(await asyncio.gather(*asked)) == {202}  # also of what was confirmed: it is refunded
        lab.fault()

    verdict = await trial.run(bookings("recanted", size(20, 667)), cancel_each, per_second=PER_SECOND)
    charged, refunded = (sum(one.values()) for one in (trial.history.charges, trial.history.refunds))
    results.add("T15 each booking is cancelled at some moment", verdict, f"{charged} charged, {refunded} refunded")
    assert trial.history.charges == trial.history.refunds
    assert trial.cancels.keys() == set(trial.load.acked if trial.load else ())
