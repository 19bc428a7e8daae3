"""One inbox of dead letters over three backends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api_service.link import Link
from api_service.routes import dead_letters_many
from booking_queue.domain.booking import STEPS
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.domain.job import Backend
from booking_queue.ledger.effects import Effects, Stay
from booking_queue.ledger.ledger import Ledger, LegRef
from booking_queue.ledger.limits import Limits
from booking_queue.settings import Settings
from booking_queue.web.client import ServiceClient
from tests.services.api_world import BOOKING, World, until, world

RQ, STREAMS, KAFKA = Backend.RQ, Backend.STREAMS, Backend.KAFKA
INBOX = "/api/dead-letters"


@pytest.fixture
async def shop(redis_settings: Settings) -> AsyncIterator[World]:
    async with world(redis_settings) as made:
        yield made


async def die(shop: World, *backends: Backend, why: str = "no such hotel", **changes: Any) -> str:
    booking_id = await shop.book(backends=[backend.value for backend in backends or (RQ,)], **changes)
    for backend in backends or (RQ,):
        assert await shop.ledger.bury(await shop.claim(booking_id, backend), why)
    return booking_id


async def inbox(shop: World, **params: Any) -> list[tuple[str, str]]:
    """All pages: ids and backends."""
    found: list[tuple[str, str]] = []
    cursor = None
    while True:
        page = await shop.get(INBOX, **params, **({"cursor": cursor} if cursor else {}))
        found += [(item["id"], item["backend"]) for item in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            return found


async def redrive(shop: World, backend: str, job_id: str, **body: Any) -> httpx.Response:
    return await shop.http.post(f"{INBOX}/{backend}/{job_id}/redrive", json=body)


async def test_the_dead_of_all_backends_are_in_one_list_newest_first(shop: World) -> None:
    first, second = await die(shop, RQ, KAFKA), await die(shop, STREAMS)
    found = await inbox(shop)
    assert found[0] == (second, "redisStreams")
    assert sorted(found[1:]) == [(first, "kafka"), (first, "rq")]
    assert await inbox(shop, limit=1) == found
    assert await inbox(shop, backend="kafka") == [(first, "kafka")]


async def test_one_job_dead_on_three_backends_at_once_is_three_letters_on_any_page(shop: World) -> None:
    job = await die(shop, RQ, STREAMS, KAFKA)
    for backend in Backend:
        await shop.redis.zadd(shop.key(f"index:dead:{backend}"), {job: 1_000})
    for limit in (1, 2, 3):
        assert sorted(await inbox(shop, limit=limit)) == sorted((job, backend.value) for backend in Backend)


async def test_letters_are_found_by_what_is_in_them(shop: World) -> None:
    ada = await die(shop, why="the printer is on fire")
    bob = await die(shop, userId="bob")
    assert await inbox(shop, q="bob") == [(bob, "rq")]
    assert await inbox(shop, q="PRINTER") == [(ada, "rq")]
    assert await inbox(shop, q=ada) == [(ada, "rq")]
    assert await inbox(shop, type="noop") == []
    for bad in ({"backend": "mars"}, {"cursor": "nonsense"}, {"limit": 0}):
        assert (await shop.http.get(INBOX, params=bad)).status_code == 400


async def test_a_letter_tells_all_that_is_known(shop: World) -> None:
    job = await die(shop, why="boom")
    told = await shop.get(f"{INBOX}/rq/{job}")
    assert (told["error"], told["attempts"], told["type"], told["data"]["userId"]) == ("boom", 1, "booking", "ada")
    assert [event["event"] for event in told["timeline"]] == ["accepted", "queued", "started", "dead"]
    assert (await shop.http.get(f"{INBOX}/rq/00000000-0000-0000-0000-000000000000")).status_code == 404
    alive = await shop.book()
    assert (await shop.http.get(f"{INBOX}/rq/{alive}")).status_code == 409


async def test_a_letter_that_left_the_inbox_is_not_found_and_where_it_went_is_told(shop: World) -> None:
    moved, discarded = await die(shop), await die(shop)
    assert (await redrive(shop, "rq", moved, to="kafka")).status_code == 202
    assert (await shop.http.delete(f"{INBOX}/rq/{discarded}")).status_code == 200
    for job, went in ((moved, "moved to kafka"), (discarded, "discarded")):
        answer = await shop.http.get(f"{INBOX}/rq/{job}")
        assert answer.status_code == 404 and answer.json()["detail"].endswith(went)
        answer = await redrive(shop, "rq", job)
        assert answer.status_code == 409 and "no more" in answer.json()["detail"]
        answer = await shop.http.delete(f"{INBOX}/rq/{job}")
        assert answer.status_code == 409 and "no more" in answer.json()["detail"]
        told = await shop.http.post(f"{INBOX}/discard", json={"items": [{"backend": "rq", "id": job}]})
        assert (told.json()["discarded"], told.json()["refused"]) == (0, 1)
    assert await shop.ledger.bury(await shop.claim(moved, KAFKA), "no")
    assert (await redrive(shop, "kafka", moved, to="rq")).status_code == 202
    assert await shop.ledger.bury(await shop.claim(moved, RQ, 2), "no")
    assert (await shop.get(f"{INBOX}/rq/{moved}"))["redrives"] == 1


async def test_a_letter_runs_again_where_it_died(shop: World) -> None:
    job = await die(shop)
    answer = await redrive(shop, "rq", job)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert await inbox(shop) == []
    claim = await shop.claim(job, generation=2)
    assert (claim.attempt, claim.redrives) == (1, 1)
    assert (await redrive(shop, "rq", job)).status_code == 409


async def test_a_letter_runs_again_elsewhere_with_other_data(shop: World) -> None:
    job = await die(shop, KAFKA)
    bad = await redrive(shop, "kafka", job, data={**BOOKING, "guests": 0})
    assert bad.status_code == 400 and bad.json()["errors"][0]["field"] == "data.guests"
    answer = await redrive(shop, "kafka", job, to="redisStreams", data={**BOOKING, "guests": 4})
    assert answer.status_code == 202 and answer.json()["backend"] == "redisStreams"
    assert await shop.states(job) == {"kafka": "dead", "redisStreams": "queued"}
    claim = await shop.claim(job, STREAMS)
    assert claim.data["guests"] == 4
    assert await inbox(shop) == []
    assert shop.services[KAFKA].broker.dead == []


async def test_what_is_edited_is_found_by_what_it_is_now(shop: World) -> None:
    async def found(name: str) -> list[str]:
        return [item["bookingId"] for item in (await shop.get("/api/bookings", q=name))["items"]]

    booking, letter = await die(shop, RQ), str(uuid4())
    created = (await shop.get("/api/bookings"))["items"][0]["createdAt"]
    assert (await redrive(shop, "rq", booking, data={**BOOKING, "userId": "bob"})).status_code == 202
    assert await found("ada") == [] and await found("bob") == await found("grand") == [booking]
    assert (await shop.get("/api/bookings"))["items"][0]["createdAt"] == created
    await shop.ledger.letter(letter, STREAMS, "", b"nonsense", "unreadable")
    assert (await redrive(shop, "redisStreams", letter, type="booking", data=BOOKING)).status_code == 202
    assert await found("ada") == [letter] and await found("") == [letter, booking]
    assert await shop.ledger.bury(await shop.claim(letter, STREAMS, 2), "no")
    assert (await redrive(shop, "redisStreams", letter, type="noop", data={})).status_code == 202
    assert await found("ada") == [] and await found("") == [booking]


async def test_a_letter_goes_elsewhere_before_its_old_broker_has_let_go_of_it(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await die(shop, KAFKA)
    submit, sent = Link.submit, asyncio.Event()

    def told(link: Link, leg: LegRef) -> Any:
        sent.set()
        return submit(link, leg)

    async def slow(*_: Any, **__: Any) -> None:
        await asyncio.wait_for(sent.wait(), 5)

    monkeypatch.setattr(Link, "submit", told)
    monkeypatch.setattr(ServiceClient, "delete", slow)
    answer = await redrive(shop, "kafka", job, to="rq")
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")


async def test_what_another_backend_does_is_not_edited(shop: World) -> None:
    job = await shop.book(backends=["rq", "kafka"])
    await shop.ledger.bury(await shop.claim(job), "no")
    answer = await redrive(shop, "rq", job, data={**BOOKING, "guests": 4})
    assert answer.status_code == 409 and "at it" in answer.json()["detail"]
    answer = await redrive(shop, "rq", job, to="kafka")
    assert (answer.status_code, answer.json()["detail"]) == (409, "The job is queued on kafka, not dead")


async def test_what_is_sold_already_runs_again_as_it_is_and_not_with_other_data(shop: World) -> None:
    """An attempt whose time ran out while its last step was under way."""
    job = await shop.book(backends=["rq"])
    claim, effects = await shop.claim(job), Effects(shop.ledger.scripts)
    await effects.claim(claim, STEPS[4])
    assert (await effects.sell_rooms(claim, STEPS[4], Stay("grand", "standard", ["2027-01-01"], 5)))[0]
    assert await shop.ledger.bury(claim, "took longer than its limit")
    answer = await redrive(shop, "rq", job, data={**BOOKING, "roomType": "suite"})
    assert answer.status_code == 409 and "sold" in answer.json()["detail"]
    assert (await redrive(shop, "rq", job)).status_code == 202
    assert (await shop.claim(job, generation=2)).data["roomType"] == "standard"


async def test_data_are_kept_by_their_names_in_json_and_no_type_goes_without_them(shop: World) -> None:
    job = await die(shop)
    bare = await redrive(shop, "rq", job, type="noop")
    assert bare.status_code == 400 and bare.json()["errors"][0]["field"] == "type"
    data = {"user_id": "bob", "hotel_id": "grand", "check_in": "2027-01-01", "check_out": "2027-01-03", "guests": 2}
    assert (await redrive(shop, "rq", job, data=data)).status_code == 202
    assert [item["bookingId"] for item in (await shop.get("/api/bookings", q="bob"))["items"]] == [job]
    assert (await shop.claim(job, generation=2)).data == {**BOOKING, "userId": "bob", "guests": 2}


async def test_a_letter_is_kept_back_while_its_money_is_given_back(shop: World) -> None:
    job = await shop.book(backends=["rq"])
    claim = await shop.claim(job)
    await Effects(shop.ledger.scripts).claim(claim, STEPS[1])
    await shop.ledger.bury(claim, "no")
    answer = await redrive(shop, "rq", job)
    assert answer.status_code == 409 and "given back" in answer.json()["detail"]


async def test_a_discarded_letter_is_gone_from_inbox_and_broker(shop: World) -> None:
    job = await die(shop)
    await until(lambda: len(shop.services[RQ].broker.dead) <= 1)
    assert (await shop.http.delete(f"{INBOX}/rq/{job}")).json()["outcome"] == "discarded"
    assert await inbox(shop) == []
    assert shop.services[RQ].broker.dead == []
    assert (await shop.states(job)) == {"rq": "dead"}
    assert (await shop.http.delete(f"{INBOX}/rq/nobody")).status_code == 404


async def test_many_run_again_by_filter_or_by_name(shop: World) -> None:
    jobs = await asyncio.gather(*(die(shop, why="flood") for _ in range(7)))
    other = await die(shop, KAFKA, why="fire")
    answer = await shop.http.post(f"{INBOX}/redrive", json={"matching": {"q": "flood"}, "to": "kafka", "limit": 5})
    told = answer.json()
    assert (answer.status_code, told["redriven"], told["refused"]) == (202, 5, 0)
    assert len(await inbox(shop)) == 3
    items = [{"backend": "rq", "id": job} for job in jobs] + [{"backend": "kafka", "id": other}]
    assert answer.json()["nextCursor"] is not None
    told = (await shop.http.post(f"{INBOX}/discard", json={"items": items})).json()
    assert (told["discarded"], told["refused"]) == (3, 5), "five went to kafka before"
    assert await inbox(shop) == []
    refused: list[dict[str, Any]] = [{}, {"items": items, "matching": {}}, {"items": []}, {"matching": {"q": 1}}]
    for bad in refused:
        assert (await shop.http.post(f"{INBOX}/redrive", json=bad)).status_code == 400


async def test_what_is_redriven_counts_against_the_limits_as_what_is_new(shop: World) -> None:
    jobs = [await die(shop, RQ) for _ in range(3)]
    limits = Limits(shop.ledger.scripts)
    await limits.put({"rq": {"outstanding": 1}})
    told = (await shop.http.post(f"{INBOX}/redrive", json={"matching": {}})).json()
    assert (told["redriven"], told["refused"]) == (1, 2)
    assert sum("outstanding on rq" in each.get("error", "") for each in told["items"]) == 2
    (left, _) = [each["id"] for each in told["items"] if each["outcome"] == "refused"]
    before = await shop.status(left)
    for url in (shop.settings.queue_service_url, None):
        path = f"{url}/dead-letters/{left}/redrive" if url else f"{INBOX}/rq/{left}/redrive"
        refused = await shop.http.post(path)
        assert refused.status_code == 503 and "retry-after" in refused.headers
    assert await shop.status(left) == before and len(await inbox(shop)) == 2
    assert (await redrive(shop, "rq", left, to="kafka")).status_code == 202
    await limits.put({"rq": {"outstanding": 2}})
    last = next(job for job, _ in await inbox(shop))
    assert last in jobs and (await redrive(shop, "rq", last)).status_code == 202


async def test_refused_letters_do_not_stand_before_the_others(shop: World) -> None:
    wanted = await die(shop, why="flood")
    refused = [await die(shop, why="flood") for _ in range(3)]  # newer, and completed elsewhere
    for job in refused:
        await shop.redis.hset(shop.key(f"job:{job}"), mapping={"legs": "rq,kafka", "kafka.state": "completed"})
    asked: dict[str, Any] = {"matching": {"q": "flood"}, "to": "kafka", "limit": 3}
    told = (await shop.http.post(f"{INBOX}/redrive", json=asked)).json()
    assert (told["redriven"], told["refused"]) == (0, 3)
    told = (await shop.http.post(f"{INBOX}/redrive", json=asked | {"cursor": told["nextCursor"]})).json()
    assert [(each["id"], each["outcome"]) for each in told["items"]] == [(wanted, "redriven")]
    assert told["nextCursor"] is None
    assert (await shop.http.post(f"{INBOX}/redrive", json=asked | {"cursor": "?"})).status_code == 400


@pytest.mark.parametrize(("verb", "asks", "done"), [("redrive", "redrive_as", 202), ("discard", "discard", 200)])
async def test_of_many_each_is_told_whether_the_ledger_answered_for_it(
    shop: World, monkeypatch: pytest.MonkeyPatch, verb: str, asks: str, done: int
) -> None:
    jobs = [await die(shop) for _ in range(6)]
    ask, lost, asked = getattr(Ledger, asks), {jobs[1], jobs[3]}, []

    async def but_some(ledger: Ledger, job_id: str, *rest: Any) -> Any:
        asked.append(job_id)
        if job_id in lost:
            raise LedgerUnavailable("Redis does not answer")
        return await ask(ledger, job_id, *rest)

    async def many(*which: str) -> httpx.Response:
        return await shop.http.post(f"{INBOX}/{verb}", json={"items": [{"backend": "rq", "id": job} for job in which]})

    monkeypatch.setattr(Ledger, asks, but_some)
    answer = await many(*jobs[:3])
    assert answer.status_code == done
    assert ["did not answer" in each.get("error", "") for each in answer.json()["items"]] == [False, True, False]
    assert len(await inbox(shop)) == 4
    none = await many(jobs[1], jobs[3])
    assert none.status_code == 503 and "retry-after" in none.headers
    monkeypatch.setattr(dead_letters_many, "AT_A_TIME", 1)
    told = (await many(jobs[4], jobs[3], jobs[5])).json()
    assert (told["refused"], told["items"][2]["error"]) == (2, dead_letters_many.NOT_TRIED)
    assert jobs[5] not in asked, "each would have had to wait for Redis"


async def test_of_many_each_is_told_what_it_would_be_told_alone(shop: World) -> None:
    alive = await shop.book(backends=["rq"])
    await shop.ledger.letter("no-job", RQ, "", b"nonsense", "unreadable: no JSON")
    for job, verb, status in (("no-job", "redrive", 400), ("nobody", "redrive", 404), ("nobody", "discard", 404)):
        alone = await (redrive(shop, "rq", job) if verb == "redrive" else shop.http.delete(f"{INBOX}/rq/{job}"))
        items = [{"backend": "rq", "id": each} for each in (job, alive)]
        told = (await shop.http.post(f"{INBOX}/{verb}", json={"items": items})).json()["items"]
        assert alone.status_code == status
        assert [each["error"] for each in told] == [alone.json()["detail"], "The job is queued, not dead"]


async def test_what_is_no_job_runs_once_it_is_given_a_type_and_data(shop: World) -> None:
    await shop.ledger.letter("booking-events-0-7", KAFKA, "", b"\xff\x00 nonsense", "unreadable: no JSON")
    assert await inbox(shop) == [("booking-events-0-7", "kafka")]
    assert (await redrive(shop, "kafka", "booking-events-0-7")).status_code == 400
    assert (await redrive(shop, "kafka", "booking-events-0-7", data=BOOKING)).status_code == 400
    answer = await redrive(shop, "kafka", "booking-events-0-7", type="booking", data=BOOKING)
    assert answer.status_code == 202
    claim = await shop.claim("booking-events-0-7", KAFKA, 2)
    assert (claim.type, claim.data["userId"]) == ("booking", "ada")
