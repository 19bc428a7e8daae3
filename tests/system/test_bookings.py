"""The whole suite, as a user sees it, while things break."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import AsyncIterator

import httpx
import pypdf
import pytest

from tests.system.client import BACKENDS, Client
from tests.system.suites import Suite

RERUN_SECONDS = 20  # promised after a worker's death, as a p99; 30 at most
# LONG=1 breaks things for as long as people do; without it, for as long as tells right from wrong.
LONG = bool(os.environ.get("LONG"))
BOOKINGS = 500 if LONG else 120
KAFKA_AWAY_SECONDS, REDIS_AWAY_SECONDS = (30.0, 10.0) if LONG else (0.0, 0.0)


@pytest.fixture
async def client(suite: Suite) -> AsyncIterator[Client]:
    client = Client(suite)
    yield client
    await client.close()


async def test_what_was_sent_before_any_worker_is_done_once_one_starts(suite: Suite, client: Client) -> None:
    await asyncio.to_thread(suite.scale, 0)
    bookings = [await client.book([backend]) for backend in BACKENDS for _ in range(5)]
    states = [(await client.status(booking))["state"] for booking in bookings]
    assert states == ["accepted"] * 15
    await asyncio.to_thread(suite.scale, 2)
    for booking in bookings:
        assert (await client.legs_ended(booking))["state"] == "confirmed"


async def test_one_booking_on_three_backends(suite: Suite, client: Client) -> None:
    await asyncio.to_thread(suite.scale, 2)
    booking = await client.book()
    found = await client.legs_ended(booking)
    assert found["state"] == "confirmed"
    assert set(found["status"]) == set(BACKENDS)
    numbers = {leg["result"]["confirmationNumber"] for leg in found["status"].values()}
    assert len(numbers) == 1
    for leg in found["status"].values():
        assert leg["state"] == "completed"
        assert leg["progress"] == 100
        assert leg["attempts"] == 1
        assert leg["receipt"]
        assert all(leg["timestamps"][moment] for moment in ("enqueued", "started", "finished"))
    charge = await client.charges(booking)
    assert [one["amount"] for one in charge["charges"]] == [9000]
    pdf = await client.http.get(f"{suite.url('api')}/api/bookings/{booking}/confirmation.pdf")
    assert pdf.headers["content-type"] == "application/pdf"
    assert numbers.pop() in pypdf.PdfReader(io.BytesIO(pdf.content)).pages[0].extract_text()
    mails = (
        await client.http.get(
            f"{suite.url('providers')}/mails", params={"messageId": f"<{booking}.mail@booking-queue>"}
        )
    ).json()
    assert len(mails["items"]) == 1


async def test_scaling_while_bookings_run_loses_nothing(suite: Suite, client: Client) -> None:
    before = suite.starts()
    await asyncio.to_thread(suite.scale, 1)
    bookings = [await client.book([BACKENDS[n % 3]]) for n in range(BOOKINGS // 2)]
    await asyncio.to_thread(suite.scale, 3)
    bookings += [await client.book() for _ in range(BOOKINGS // 2)]
    await asyncio.to_thread(suite.scale, 1)
    for booking in bookings:
        assert (await client.legs_ended(booking))["state"] == "confirmed"
    assert (await client.provider_stats())["maxChargesPerKey"] == 1
    assert suite.starts() == before


@pytest.mark.parametrize("backend", BACKENDS)
async def test_after_kill_9_the_work_is_done_elsewhere(suite: Suite, client: Client, backend: str) -> None:
    await asyncio.to_thread(suite.scale, 2)
    booking = await client.book([backend], simulate={"failAt": "payment", "times": 1, "slowMs": 3000}, hotelId="killed")
    slow = await client.book([backend], simulate={"slowMs": 4000})
    leg = (await client.active(slow))["status"][backend]
    killed_at = time.monotonic()
    await asyncio.to_thread(suite.kill_worker, leg["worker"])
    async with asyncio.timeout(30):
        while (await client.status(slow))["status"][backend]["worker"] == leg["worker"]:
            await asyncio.sleep(0.1)
    assert time.monotonic() - killed_at <= RERUN_SECONDS
    for each in (booking, slow):
        assert (await client.legs_ended(each))["state"] == "confirmed"
    assert (await client.charges(slow))["status"] == "charged"
    assert (await client.provider_stats())["maxChargesPerKey"] == 1


async def test_a_job_that_crashes_its_worker_is_finished_by_another(suite: Suite, client: Client) -> None:
    await asyncio.to_thread(suite.scale, 2)
    booking = await client.book(["redisStreams"], simulate={"failAt": "mail", "crash": True, "times": 1})
    found = await client.legs_ended(booking)
    assert found["state"] == "confirmed"
    await asyncio.to_thread(suite.scale, 0)


async def during(least: int, seconds: float) -> AsyncIterator[None]:
    """At least so often, and for so long."""
    until, count = time.monotonic() + seconds, 0
    while count < least or time.monotonic() < until:
        yield
        count += 1
        await asyncio.sleep(0.1 if count >= least else 0)


async def test_kafka_away_never_fails_a_request(suite: Suite, client: Client) -> None:
    await asyncio.to_thread(suite.scale, 2)
    await asyncio.to_thread(suite.stop, "kafka")
    answers: list[httpx.Response] = []
    try:
        async for _ in during(20, KAFKA_AWAY_SECONDS):
            answers.append(await client.post())
    finally:
        await asyncio.to_thread(suite.start, "kafka")
    assert {answer.status_code for answer in answers} == {202}
    assert answers[-1].json()["queues"]["kafka"]["status"] == "pending"
    for answer in answers:
        found = await client.legs_ended(answer.json()["bookingId"])
        assert {leg["state"] for leg in found["status"].values()} == {"completed"}


async def test_redis_away_is_503_and_heals(suite: Suite, client: Client) -> None:
    await asyncio.to_thread(suite.scale, 2)
    before = [await client.book() for _ in range(5)]
    await asyncio.to_thread(suite.stop, "redis")
    answers: list[httpx.Response] = []
    try:
        async for _ in during(5, REDIS_AWAY_SECONDS):
            answers.append(await client.post())
    finally:
        await asyncio.to_thread(suite.start, "redis")
    assert {answer.status_code for answer in answers} == {503}
    assert all("retry-after" in answer.headers for answer in answers)
    async with asyncio.timeout(30):
        while (answer := await client.post()).status_code != 202:
            assert answer.status_code == 503
            await asyncio.sleep(0.2)
    for booking in [*before, answer.json()["bookingId"]]:
        found = await client.legs_ended(booking, healing=True)
        assert {leg["state"] for leg in found["status"].values()} == {"completed"}
