"""How long a booking waits at low load: from its acceptance to the start of its handler, on each backend."""

from __future__ import annotations

import asyncio

import httpx

from bench.accept import BOOKING
from bench.drain import settings_of
from booking_queue.domain.job import Backend
from booking_queue.ledger.connection import connect
from booking_queue.ledger.ledger import Ledger
from booking_queue.ledger.record import Record
from booking_queue.ledger.script import Scripts
from local.private_suite import PrivateSuite

EVERY_SECONDS = 0.1
PATIENCE_SECONDS = 30

Waits = dict[Backend, list[int]]


async def waits(suite: PrivateSuite, bookings: int) -> Waits:
    """Milliseconds by Redis' own clock, which stamps both ends."""
    redis = connect(settings_of(suite))
    worker = suite.start_worker()
    try:
        ledger = Ledger(Scripts(redis, settings_of(suite)))
        await _started(ledger, await _post(suite, 1))  # every lane of the worker reads
        records = await _started(ledger, await _post(suite, bookings))
    finally:
        suite.stop(worker)
        await redis.aclose()
    found: Waits = {backend: [] for backend in Backend}
    for record in records:
        for backend, leg in record.legs.items():
            found[backend].append((leg.started or 0) - record.created)
    return found


async def _post(suite: PrivateSuite, count: int) -> list[str]:
    async with httpx.AsyncClient(trust_env=False, base_url=suite.url("api_service"), timeout=10) as http:
        ids = []
        for _ in range(count):
            headers = {"Content-Type": "application/json"}
            answer = (await http.post("/api/bookings", content=BOOKING, headers=headers)).raise_for_status()
            ids.append(str(answer.json()["bookingId"]))
            await asyncio.sleep(EVERY_SECONDS)
        return ids


async def _started(ledger: Ledger, ids: list[str]) -> list[Record]:
    """The records, once each leg of every one has started."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            records = [record for job_id in ids if (record := await ledger.get(job_id))]
            if all(leg.started for record in records for leg in record.legs.values()):
                return records
            await asyncio.sleep(EVERY_SECONDS)
