"""Taking bookings and showing them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from booking_queue.domain.booking import STEPS, confirmation_number
from booking_queue.domain.job import Backend, Options
from booking_queue.ledger.effects import Effects, Stay
from booking_queue.settings import Settings
from tests.services.api_world import World, world

ID_NAMES = {"rq": "jobId", "redisStreams": "messageId", "kafka": "messageId"}


@pytest.fixture
async def shop(redis_settings: Settings, tmp_path: Path) -> AsyncIterator[World]:
    async with world(redis_settings, documents_dir=tmp_path) as made:
        yield made


async def test_a_booking_is_accepted_on_all_three_backends(shop: World) -> None:
    answer = await shop.post(guests=2, roomType="deluxe")
    body = answer.json()
    assert answer.status_code == 202
    booking_id = str(UUID(body["bookingId"]))
    assert answer.headers["location"] == body["links"]["self"] == f"/api/bookings/{booking_id}"
    assert body["links"]["events"] == f"/api/bookings/{booking_id}/events"
    for backend, name in ID_NAMES.items():
        assert body["queues"][backend][name] == booking_id
        assert body["queues"][backend]["status"] == "queued"
        assert body["queues"][backend]["receipt"]
    assert [service.waiting for service in shop.services.values()] == [1, 1, 1]
    assert await shop.redis.zcard(shop.key("outbox:kafka")) == 0


async def test_only_the_named_backends_get_it(shop: World) -> None:
    body = (await shop.post(backends=["kafka"])).json()
    assert list(body["queues"]) == ["kafka"]
    assert list((await shop.status(body["bookingId"]))["status"]) == ["kafka"]
    assert shop.services[Backend.RQ].waiting == 0


async def test_every_bad_field_is_named_in_one_problem(shop: World) -> None:
    answer = await shop.post(guests=0, checkOut="2026-12-31", roomType="cupboard", colour="red")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert {error["field"] for error in body["errors"]} == {"guests", "checkOut", "roomType", "colour"}
    assert all(error["field"] in body["detail"] for error in body["errors"])
    assert await shop.redis.exists(shop.key("index:bookings")) == 0


async def test_missing_fields_are_told_in_the_older_words(shop: World) -> None:
    nothing = await shop.http.post("/api/bookings", json={})
    assert nothing.json()["error"] == "Missing required fields: userId, hotelId, checkIn, checkOut"
    assert (await shop.http.post("/api/bookings")).json()["error"] == nothing.json()["error"]
    blank = await shop.post(userId="", guests=99)
    assert blank.json()["error"] == "Missing required fields: userId"
    assert {error["field"] for error in blank.json()["errors"]} == {"userId", "guests"}


async def test_what_is_no_booking_at_all_is_a_400(shop: World) -> None:
    for content in (b"[]", b'"text"', b"null", b"7", b"{", b'{"a":1}}', b"\xff"):
        answer = await shop.http.post("/api/bookings", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 400, content
        assert answer.json()["code"] in ("invalid_json", "invalid_request")


async def test_priority_by_the_older_numbers_and_delay_reach_the_job(shop: World) -> None:
    body = (await shop.post(priority=20, delaySeconds=60, backends=["rq"])).json()
    assert body["queues"]["rq"]["status"] == "delayed"
    found = await shop.get(f"/api/bookings/{body['bookingId']}")
    assert found["priority"] == "critical"
    assert found["delaySeconds"] == 60
    leg = found["status"]["rq"]
    assert leg["state"] == "delayed"
    due, created = (datetime.fromisoformat(moment) for moment in (leg["due"], found["createdAt"]))
    assert (due - created).total_seconds() == 60


async def test_a_delayed_booking_goes_to_rq_in_ten_seconds_unless_told_otherwise(shop: World) -> None:
    answer = await shop.post("/api/bookings/delayed")
    body = answer.json()
    assert answer.status_code == 202
    assert body["delaySeconds"] == 10
    assert body["jobId"] == body["bookingId"]
    assert list(body["queues"]) == ["rq"]
    assert body["message"] == "Booking will be processed in 10 seconds"
    leg = (await shop.status(body["bookingId"]))["status"]["rq"]
    assert body["scheduledFor"] == leg["due"]


async def test_a_delayed_booking_on_chosen_backends(shop: World) -> None:
    body = (await shop.post("/api/bookings/delayed", delaySeconds=2.5, backends=["redisStreams", "kafka"])).json()
    assert list(body["queues"]) == ["redisStreams", "kafka"]
    assert body["message"] == "Booking will be processed in 2.5 seconds"
    now = (await shop.post("/api/bookings/delayed", delaySeconds=0)).json()
    assert now["queues"]["rq"]["status"] == "queued"
    assert (await shop.post("/api/bookings/delayed", delaySeconds=-0.1)).status_code == 400


async def test_simulate_is_refused_where_simulation_is_off(redis_settings: Settings) -> None:
    async with world(redis_settings, simulation="off") as shop:
        refused = await shop.post(simulate={"failAt": "payment"}, guests=11)
        assert refused.status_code == 400
        assert {error["field"] for error in refused.json()["errors"]} == {"simulate", "guests"}
        assert (await shop.post(simulate={})).status_code == 400
        assert (await shop.post()).status_code == 202


async def test_simulate_travels_with_the_booking(shop: World) -> None:
    booking_id = await shop.book(simulate={"failAt": "payment", "times": 2})
    found = await shop.get(f"/api/bookings/{booking_id}")
    assert found["simulate"] == {"failAt": "payment", "times": 2, "slowMs": 0, "crash": False}


async def test_an_unknown_booking_is_a_404(shop: World) -> None:
    for booking_id in ("nope", str(uuid4()), "%00", "a" * 3000, "{" + str(uuid4()) + "}", "..%2f.."):
        for path in ("", "/status", "/events", "/confirmation.pdf"):
            answer = await shop.http.get(f"/api/bookings/{booking_id}{path}")
            assert answer.status_code == 404, (booking_id, path)
            assert answer.headers["content-type"] == "application/problem+json"


async def test_a_job_that_is_no_booking_is_no_booking(shop: World) -> None:
    job_id = str(uuid4())
    await shop.ledger.adopt(job_id, Backend.RQ, "noop", {}, Options())
    for path in ("", "/status", "/events"):
        assert (await shop.http.get(f"/api/bookings/{job_id}{path}")).status_code == 404


async def test_the_id_is_found_in_any_case(shop: World) -> None:
    booking_id = await shop.book()
    assert (await shop.status(booking_id.upper()))["bookingId"] == booking_id


async def test_status_shows_each_leg_as_it_is(shop: World) -> None:
    booking_id = await shop.book(backends=["rq", "kafka"])
    claim = await shop.claim(booking_id)
    await shop.ledger.retry(claim, "the till is stuck", 5000)
    other = await shop.claim(booking_id, Backend.KAFKA)
    assert await shop.ledger.complete(other, {"status": "confirmed"})
    found = await shop.status(booking_id)
    rq, kafka = found["status"]["rq"], found["status"]["kafka"]
    assert (rq["state"], rq["attempts"], rq["error"], rq["worker"]) == ("retrying", 1, "the till is stuck", "worker-1")
    assert (rq["generation"], kafka["generation"]) == (2, 1)
    assert rq["due"] and rq["timestamps"]["finished"] is None
    assert (kafka["state"], kafka["progress"], kafka["result"]) == ("completed", 100, {"status": "confirmed"})
    assert kafka["receipt"]["messageId"] == booking_id
    times = [kafka["timestamps"][name] for name in ("enqueued", "started", "finished")]
    assert times == sorted(times)
    assert all(len(time) == 24 and time.endswith("Z") for time in times), "ISO, with milliseconds"


async def confirm(shop: World, booking_id: str, document: dict[str, object]) -> None:
    """What a worker does, on RQ's leg."""
    effects = Effects(shop.ledger.scripts)
    claim = await shop.claim(booking_id)
    validate, payment, paper, mail, inventory = STEPS
    stay = Stay("grand", "standard", ["2027-01-01", "2027-01-02"], 5)
    await effects.claim(claim, validate)
    await effects.hold_rooms(claim, validate, stay, 60_000)
    for step, result in ((payment, {"chargeId": "c1"}), (paper, document), (mail, {"messageId": "m"})):
        await effects.claim(claim, step)
        await effects.done(claim, step, result)
    await effects.claim(claim, inventory)
    assert (await effects.sell_rooms(claim, inventory, stay))[0]
    assert await shop.ledger.complete(claim, {"status": "confirmed"})


async def test_a_confirmed_booking_tells_its_result_and_which_leg_did_what(shop: World) -> None:
    booking_id = await shop.book(backends=["rq", "kafka"])
    await confirm(shop, booking_id, {"path": "x.pdf"})
    found = await shop.get(f"/api/bookings/{booking_id}")
    assert found["state"] == "confirmed", "whatever the other leg does"
    assert {step: effect["by"] for step, effect in found["effects"].items()} == {step.name: "rq" for step in STEPS}
    result = found["result"]
    assert result["bookingId"] == booking_id
    assert result["status"] == "confirmed"
    assert result["confirmationNumber"] == confirmation_number(booking_id)
    assert result["workerId"] == "worker-1"
    assert datetime.fromisoformat(result["confirmedAt"])


async def test_the_confirmation_is_the_file_that_the_workflow_made(shop: World) -> None:
    booking_id = await shop.book(backends=["rq"])
    path = f"/api/bookings/{booking_id}/confirmation.pdf"
    early = await shop.http.get(path)
    assert early.status_code == 404 and early.headers["content-type"] == "application/problem+json"
    (shop.settings.documents_dir / "ab").mkdir()
    (shop.settings.documents_dir / "ab" / "paper.pdf").write_bytes(b"%PDF-made")
    await confirm(shop, booking_id, {"path": "ab/paper.pdf"})
    made = await shop.http.get(path)
    assert made.status_code == 200
    assert made.headers["content-type"] == "application/pdf"
    assert made.content == b"%PDF-made"


async def test_no_stored_name_leads_out_of_the_documents(shop: World) -> None:
    secret = shop.settings.documents_dir.parent / "secret.txt"
    secret.write_text("secret")
    for stored in ("../secret.txt", str(secret), "gone.pdf", ""):
        booking_id = await shop.book(backends=["rq"])
        await confirm(shop, booking_id, {"path": stored})
        assert (await shop.http.get(f"/api/bookings/{booking_id}/confirmation.pdf")).status_code == 404


async def test_a_booking_that_failed_has_no_confirmation(shop: World) -> None:
    booking_id = await shop.book(backends=["rq"])
    (shop.settings.documents_dir / "paper.pdf").write_bytes(b"%PDF-made")
    effects = Effects(shop.ledger.scripts)
    claim = await shop.claim(booking_id)
    for step in STEPS[1:3]:
        await effects.claim(claim, step)
        await effects.done(claim, step, {"path": "paper.pdf"})
    assert await shop.ledger.bury(claim, "no room")
    assert (await shop.status(booking_id))["state"] == "failed"
    assert (await shop.http.get(f"/api/bookings/{booking_id}/confirmation.pdf")).status_code == 404


async def test_a_nearly_full_ledger_takes_no_new_work_but_still_answers(shop: World) -> None:
    booking_id = await shop.book()
    before = await shop.redis.config_get("maxmemory")
    used = (await shop.redis.info("memory"))["used_memory"]
    await shop.redis.config_set("maxmemory", int(used * 1.12))
    try:
        refused = await answered(shop, 503, "nearly full")
        assert "retry-after" in refused.headers
        assert (await shop.status(booking_id))["bookingId"] == booking_id
    finally:
        await shop.redis.config_set("maxmemory", before["maxmemory"] or 0)
    await answered(shop, 202)


async def answered(shop: World, status: int, words: str = "") -> httpx.Response:
    async with asyncio.timeout(20):
        while (answer := await shop.post()).status_code != status or words not in answer.text:
            await asyncio.sleep(0.2)
    return answer


async def test_many_at_once_share_their_requests(shop: World) -> None:
    answers = await asyncio.gather(*(shop.post() for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert all(queue["status"] == "queued" for answer in answers for queue in answer.json()["queues"].values())
    batches = shop.services[Backend.KAFKA].wire.batches
    assert sum(batches) == 50
    assert len(batches) < 40


async def test_the_document_of_the_api_shows_the_short_routes_too(shop: World) -> None:
    paths = (await shop.get("/openapi.json"))["paths"]
    body = paths["/api/bookings"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["$ref"].endswith("/NewBooking")
    assert paths["/api/bookings/delayed"]["post"]["operationId"] == "createDelayedBooking"
    assert set(paths["/api/bookings"]) == {"get", "post"}
