"""Cancelling, idempotency keys, batches and limits at the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api_service import idempotency
from booking_queue.backends.memory import MemoryPublisher
from booking_queue.domain.booking import STEPS
from booking_queue.domain.errors import LedgerUnavailable, Overloaded
from booking_queue.domain.job import Backend
from booking_queue.effects.payment import PaymentProvider
from booking_queue.ledger import idempotency as keys
from booking_queue.ledger.cancel import Cancellations, Cancelled
from booking_queue.ledger.effects import Effects
from booking_queue.ledger.ledger import Ledger, LegRef, Refused
from booking_queue.ledger.script import Arg, Scripts
from booking_queue.settings import Settings
from tests.contract.worker import eventually
from tests.services.api_world import BOOKING, World, until, world
from tests.services.live_providers import Providers, live_providers
from tests.services.same_keys import race, wrong

VALIDATE, PAYMENT, *_ = STEPS


@pytest.fixture
async def providers(tmp_path: Path) -> AsyncIterator[Providers]:
    async with live_providers(tmp_path) as found:
        yield found


@pytest.fixture
async def shop(redis_settings: Settings, providers: Providers) -> AsyncIterator[World]:
    ours = {name: getattr(providers.settings, name) for name in ("providers_url", "smtp_host", "smtp_port")}
    async with world(redis_settings, **ours) as made:
        yield made


async def cancel(shop: World, booking_id: str) -> httpx.Response:
    return await shop.http.delete(f"/api/bookings/{booking_id}")


async def cancelled(shop: World, booking_id: str) -> None:
    async def is_() -> bool:
        return bool((await shop.status(booking_id))["state"] == "cancelled")

    await until(is_)


# Cancelling


async def test_a_booking_is_cancelled_before_it_is_charged(shop: World, providers: Providers) -> None:
    booking_id = await shop.book()
    answer = await cancel(shop, booking_id)
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelling")
    await cancelled(shop, booking_id)
    assert set((await shop.states(booking_id)).values()) == {"cancelled"}
    assert (await providers.get(f"/payments/{booking_id}:payment"))["charges"] == []
    again = await cancel(shop, booking_id)
    assert (again.status_code, again.json()["code"]) == (409, "not_cancellable")


async def test_a_charge_whose_reply_was_lost_is_refunded(shop: World, providers: Providers) -> None:
    booking_id = await shop.book(backends=["rq"])
    claim = await shop.claim(booking_id)
    await Effects(shop.ledger.scripts).claim(claim, PAYMENT)
    payments = PaymentProvider(providers.settings)
    await payments.charge(f"{booking_id}:payment", 18_000, "EUR", "CONF-X")  # and nobody is told
    assert (await cancel(shop, booking_id)).status_code == 202
    await cancelled(shop, booking_id)
    found = await providers.get(f"/payments/{booking_id}:payment")
    assert (found["status"], found["refunded"], len(found["charges"])) == ("voided", 18_000, 1)
    await payments.close()


async def test_a_worker_that_wakes_after_the_cancel_charges_nothing(shop: World, providers: Providers) -> None:
    booking_id = await shop.book(backends=["rq"])
    claim = await shop.claim(booking_id)
    assert await Effects(shop.ledger.scripts).claim(claim, PAYMENT) is None  # and then it is stopped
    await cancel(shop, booking_id)
    await cancelled(shop, booking_id)
    payments = PaymentProvider(providers.settings)
    with pytest.raises(Exception, match="refused"):
        await payments.charge(f"{booking_id}:payment", 18_000, "EUR", "CONF-X")
    await payments.close()
    found = await providers.get(f"/payments/{booking_id}:payment")
    assert (found["refunded"], found["charges"]) == (0, [])
    assert not await shop.ledger.complete(claim, {})


async def test_what_cannot_be_cancelled_says_why(shop: World) -> None:
    dead = await shop.book(backends=["rq"])
    await shop.ledger.bury(await shop.claim(dead), "no")
    answer = await cancel(shop, dead)
    assert answer.status_code == 409 and "failed" in answer.json()["detail"]
    for unknown in (str(uuid4()), "nonsense"):
        assert (await cancel(shop, unknown)).status_code == 404


async def test_a_delayed_booking_that_came_to_its_broker_while_it_was_cancelled_does_not_stay_there(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rq, ask = shop.services[Backend.RQ], Cancellations.ask
    rq.wire.refuse = True
    booking_id = await shop.book(backends=["rq"], delaySeconds=3600)

    async def after_it_was_sent(cancellations: Cancellations, job_id: str) -> Cancelled:
        await MemoryPublisher(shop.ledger, rq.broker, Backend.RQ).publish([LegRef(job_id, 1)])
        assert len(rq.broker.due) == 1
        return await ask(cancellations, job_id)

    monkeypatch.setattr(Cancellations, "ask", after_it_was_sent)
    assert (await cancel(shop, booking_id)).status_code == 202
    assert rq.broker.due == []


# Idempotency keys


async def send(shop: World, key: str, **changes: Any) -> httpx.Response:
    return await shop.http.post("/api/bookings", json={**BOOKING, **changes}, headers={"Idempotency-Key": key})


async def test_the_same_key_and_body_make_one_booking(shop: World) -> None:
    answers = await asyncio.gather(*(send(shop, '"order-1"') for _ in range(20)))
    taken = [answer for answer in answers if answer.status_code == 202]
    assert {answer.status_code for answer in answers} <= {202, 409} and taken
    again = await send(shop, "order-1")
    assert {answer.text for answer in (*taken, again)} == {taken[0].text}
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == taken[0].headers["location"]
    assert len((await shop.get("/api/bookings"))["items"]) == 1
    assert [service.waiting for service in shop.services.values()] == [1, 1, 1]


async def test_another_body_under_a_used_key_is_refused(shop: World) -> None:
    await send(shop, "k")
    answer = await send(shop, "k", guests=3)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    other = await shop.http.post("/api/bookings/delayed", json=BOOKING, headers={"Idempotency-Key": "k"})
    assert other.status_code == 202, "each route has its own keys"


@dataclass
class Accepts:
    """What becomes of each call of the ledger, in turn: refused, taken without a word, or as always."""

    ends: list[str]
    accept: Callable[..., Awaitable[Any]] = Ledger.accept

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def accept(ledger: Ledger, *job: Any) -> Any:
            end = self.ends.pop(0) if self.ends else "told"
            if end == "refused":
                raise Overloaded("as many jobs are outstanding as may be")
            answer = await self.accept(ledger, *job)
            if end == "lost":
                raise LedgerUnavailable("the answer was lost")
            return answer

        monkeypatch.setattr(Ledger, "accept", accept)


async def test_a_key_stands_for_its_booking_when_a_later_attempt_is_refused(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Accepts(["lost", "refused"]).patch(monkeypatch)
    answers = [await send(shop, "k") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 202]
    (booking,) = (await shop.get("/api/bookings"))["items"]
    assert answers[2].json()["bookingId"] == booking["bookingId"]


async def test_a_key_stands_for_a_batch_of_which_an_item_may_have_been_accepted(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Accepts(["refused", "lost"]).patch(monkeypatch)
    items, key = {"bookings": [BOOKING, BOOKING]}, {"Idempotency-Key": "k"}
    answers = [await shop.http.post("/api/bookings/batch", json=items, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [503, 202]
    assert len((await shop.get("/api/bookings"))["items"]) == 2


@pytest.mark.parametrize("end", ["refused", "lost"])
async def test_a_key_completes_a_batch_of_which_items_were_refused_for_now(
    shop: World, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    Accepts(["told", end]).patch(monkeypatch)
    items, key = {"bookings": [BOOKING, BOOKING, {}]}, {"Idempotency-Key": "k"}
    answers = [await shop.http.post("/api/bookings/batch", json=items, headers=key) for _ in range(3)]
    assert [answer.json()["accepted"] for answer in answers] == [1, 2, 2]
    assert ["retry-after" in answer.headers for answer in answers] == [True, False, False]
    assert ["idempotency-replayed" in answer.headers for answer in answers] == [False, False, True]
    assert len((await shop.get("/api/bookings"))["items"]) == 2


async def test_of_many_posts_a_key_one_makes_a_booking_and_altered_ones_are_refused(shop: World) -> None:
    told = await race(shop.http, BOOKING, keys=20, posts=10)
    assert wrong(told) == []
    assert sum(each.status == 422 for each in told) >= 20
    assert len((await shop.get("/api/bookings", limit=100))["items"]) == 20

    async def delivered() -> bool:
        return [service.waiting for service in shop.services.values()] == [20, 20, 20]

    await eventually(delivered, "20 legs on each backend")


async def test_a_refused_request_leaves_its_key_free(shop: World) -> None:
    assert (await send(shop, "k", guests=0)).status_code == 400
    assert (await send(shop, "k")).status_code == 202
    for bad in ("", "x" * 256, '""'):
        assert (await send(shop, bad)).status_code == 400, bad


async def test_an_answer_that_nobody_stored_is_made_anew(shop: World) -> None:
    first = (await send(shop, "k")).json()
    (row,) = [key async for key in shop.redis.scan_iter(shop.key("idempotency:*"))]
    await shop.redis.hdel(row, "answer")
    assert (await send(shop, "k")).json()["bookingId"] == first["bookingId"]
    assert len((await shop.get("/api/bookings"))["items"]) == 1


async def test_nobody_waits_long_for_an_answer_to_be_stored(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LEASE_MS", 1)
    with monkeypatch.context() as silent:  # Redis, once the booking is accepted
        silent.setattr(idempotency, "OVER_SECONDS", 0.05)
        silent.setattr(keys.Idempotency, "end", lambda *_: asyncio.Event().wait())
        first = await send(shop, "k")
    again = await send(shop, "k")
    assert [answer.status_code for answer in (first, again)] == [202, 202]
    assert again.json()["bookingId"] == first.json()["bookingId"]


# Batches


async def test_a_batch_answers_each_item(shop: World) -> None:
    bad = {**BOOKING, "guests": 0}
    body = {"bookings": [BOOKING, bad, {**BOOKING, "backends": ["kafka"]}, "nonsense"]}
    answer = await shop.http.post("/api/bookings/batch", json=body)
    told = answer.json()
    assert (answer.status_code, told["accepted"], told["refused"]) == (202, 2, 2)
    assert [item["status"] for item in told["items"]] == ["accepted", "refused", "accepted", "refused"]
    assert told["items"][1]["errors"][0]["field"] == "guests"
    assert list(told["items"][2]["queues"]) == ["kafka"]
    assert shop.services[Backend.KAFKA].waiting == 2


async def test_a_thousand_are_taken_at_once_and_again_under_their_key(shop: World) -> None:
    body = {"bookings": [{**BOOKING, "backends": ["rq"]}] * 1000}
    headers = {"Idempotency-Key": "big"}
    first, again = [(await shop.http.post("/api/bookings/batch", json=body, headers=headers)).json() for _ in range(2)]
    assert first["accepted"] == 1000
    ids = [item["bookingId"] for item in first["items"]]
    assert ids == [item["bookingId"] for item in again["items"]] and len(set(ids)) == 1000
    await until(lambda: shop.services[Backend.RQ].waiting == 1000)


async def test_a_batch_of_nothing_good_is_refused(shop: World) -> None:
    batches: list[list[Any]] = [[], [{}], [BOOKING] * 1001]
    for bookings in batches:
        answer = await shop.http.post("/api/bookings/batch", json={"bookings": bookings})
        assert answer.status_code == 400, bookings[:1]
    assert await shop.redis.exists(shop.key("index:bookings")) == 0


# Limits


async def put(shop: World, changes: Any) -> httpx.Response:
    return await shop.http.put("/api/limits", json=changes)


async def test_limits_are_set_all_at_once(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    call, puts = Scripts.call, iter([None])

    async def but_once(scripts: Scripts, op: str, *args: Arg) -> Any:
        if op == "limits_put" and next(puts, LedgerUnavailable):
            raise LedgerUnavailable("Redis is gone")
        return await call(scripts, op, *args)

    monkeypatch.setattr(Scripts, "call", but_once)
    assert (await put(shop, {"rq": {"concurrency": 7}, "kafka": {"paused": True}})).status_code == 200
    told = (await shop.get("/api/limits"))["limits"]
    assert (told["rq"]["concurrency"], told["kafka"]["paused"]) == (7, True)


async def test_limits_are_set_shown_and_taken_back(shop: World) -> None:
    changes = {"rq": {"concurrency": 3}, "type:booking": {"rate": {"max": 5, "durationMs": 1000}}}
    told = (await put(shop, changes)).json()["limits"]
    assert told["rq"]["concurrency"] == 3
    assert told["type:booking"]["rate"] == {"max": 5, "durationMs": 1000}
    await put(shop, {"rq": {"concurrency": None}, "kafka": {"paused": True}})
    told = (await shop.get("/api/limits"))["limits"]
    assert told["rq"]["concurrency"] is None and told["kafka"]["paused"]
    assert told["type:booking"]["rate"]["max"] == 5


async def test_a_limit_tells_how_many_wait_for_it_and_how_many_hold_a_place(shop: World) -> None:
    await put(shop, {"type:booking": {"concurrency": 1}, "type:noop": {"rate": {"max": 5, "durationMs": 1000}}})
    await shop.claim(await shop.book(backends=["rq"]))
    for backend in Backend:
        held = await shop.ledger.claim(await shop.book(backends=[backend]), backend, 1, "w")
        assert isinstance(held, Refused) and held.reason == "limited"
    told = (await shop.get("/api/limits"))["limits"]
    assert (told["type:booking"]["waiting"], told["type:booking"]["running"]) == (3, 1)
    assert told["rq"]["waiting"] == told["type:noop"]["waiting"] == 0
    assert "running" not in told["type:noop"], "nobody counts them"
    assert told["tenant"].keys() == {"outstanding"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "body"),
        ({"mars": {"concurrency": 1}}, "mars"),
        ({"rq": {"concurrency": 0}}, "rq.concurrency"),
        ({"rq": {"speed": 1}}, "rq.speed"),
        ({"type:booking": {"paused": True}}, "body"),
    ],
)
async def test_a_limit_that_makes_no_sense_is_refused(shop: World, changes: Any, field: str) -> None:
    answer = await put(shop, changes)
    assert answer.status_code == 400, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_rate_that_is_a_number_is_told_how_one_looks(shop: World) -> None:
    told = (await put(shop, {"rq": {"rate": 5}})).json()["detail"]
    assert told == 'rq.rate: must be like {"max": 5, "durationMs": 1000}'


async def test_as_much_as_may_be_outstanding_is_taken(shop: World) -> None:
    await put(shop, {"kafka": {"outstanding": 1}})
    await shop.book()
    answer = await shop.post()
    assert answer.status_code == 503 and answer.headers["retry-after"]
    assert "kafka" in answer.json()["detail"]
    await shop.book(backends=["rq"])
