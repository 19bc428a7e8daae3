from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from providers.calls import prune
from tests.services.live_providers import Providers, live_providers, providers_process

CHARGE = {"key": "b1:payment", "amount": 12_345, "currency": "EUR", "reference": "CONF-1"}


@pytest.fixture
async def providers(tmp_path: Path) -> AsyncIterator[Providers]:
    async with live_providers(tmp_path) as running:
        yield running


async def charge(providers: Providers, **other: Any) -> httpx.Response:
    return await providers.http.post("/payments", json=CHARGE | other)


async def stats(providers: Providers, *names: str) -> tuple[int, ...]:
    body = await providers.get("/stats")
    return tuple(body[name] for name in names)


async def test_a_key_is_charged_once(providers: Providers) -> None:
    first, again = await charge(providers), await charge(providers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["chargeId"] == again.json()["chargeId"]
    assert first.json()["repeated"] is False and again.json()["repeated"] is True
    assert first.json()["amount"] == 12_345 and first.json()["currency"] == "EUR"
    assert await stats(providers, "charges", "rawCalls", "maxChargesPerKey") == (1, 2, 1)


async def test_racing_calls_charge_once(providers: Providers) -> None:
    answers = await asyncio.gather(*(charge(providers) for _ in range(50)))
    assert len({answer.json()["chargeId"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert await stats(providers, "charges", "rawCalls", "maxChargesPerKey") == (1, 50, 1)


@pytest.mark.parametrize("other", [{"amount": 1}, {"currency": "USD"}])
async def test_the_same_key_for_something_else_is_422(providers: Providers, other: dict[str, Any]) -> None:
    await charge(providers)
    answer = await charge(providers, **other)
    assert answer.status_code == 422 and answer.json()["code"] == "amount_mismatch"
    assert await stats(providers, "charges", "rawCalls") == (1, 2)


async def test_a_void_refunds_once_and_closes_the_key(providers: Providers) -> None:
    await charge(providers)
    for repeated in (False, True):
        answer = (await providers.http.post("/payments/void", json={"key": CHARGE["key"]})).json()
        assert (answer["refunded"], answer["status"], answer["repeated"]) == (12_345, "voided", repeated)
    refused = await charge(providers)
    assert refused.status_code == 409 and refused.json()["code"] == "voided"
    payment = await providers.get(f"/payments/{CHARGE['key']}")
    assert (payment["status"], payment["refunded"], payment["rawCalls"]) == ("voided", 12_345, 4)
    assert payment["charges"][0]["status"] == "refunded" and payment["charges"][0]["refundedAt"]
    assert await stats(providers, "charges", "voids", "refunds", "rawCalls") == (1, 1, 1, 4)


async def test_a_void_before_the_charge_refuses_it(providers: Providers) -> None:
    assert (await providers.http.post("/payments/void", json={"key": CHARGE["key"]})).json()["refunded"] == 0
    assert (await charge(providers)).status_code == 409
    assert (await providers.get(f"/payments/{CHARGE['key']}"))["charges"] == []
    assert await stats(providers, "charges", "voids", "refunds") == (0, 1, 0)


async def test_charges_and_voids_that_race_never_leave_money_behind(providers: Providers) -> None:
    async def race(number: int) -> None:
        calls = [
            charge(providers, key=f"k{number}"),
            providers.http.post("/payments/void", json={"key": f"k{number}"}),
        ]
        await asyncio.gather(*(calls if number % 2 else reversed(calls)))
        payment = await providers.get(f"/payments/k{number}")
        assert payment["refunded"] == sum(each["amount"] for each in payment["charges"])

    await asyncio.gather(*(race(number) for number in range(30)))


async def test_unknown_and_bad_input_are_problems(providers: Providers) -> None:
    missing = await providers.http.get("/payments/nobody")
    assert missing.status_code == 404 and missing.json()["error"] == "Payment not found"
    bad: list[dict[str, Any]] = [
        {"amount": 0},
        {"amount": 1.5},
        {"amount": "1"},
        {"amount": 10**13},
        {"amount": True},
        {"currency": "eur"},
        {"key": ""},
        {"key": "a\x00b"},
        {"key": "k" * 201},
        {"other": 1},
    ]
    for other in bad:
        answer = await charge(providers, **other)
        assert answer.status_code == 400, other
        assert [error["field"] for error in answer.json()["errors"]] == list(other)
    assert await stats(providers, "rawCalls") == (0,)


async def test_lists_page_newest_first(providers: Providers) -> None:
    for number in range(7):
        await charge(providers, key=f"k{number}")
    keys: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await providers.get("/payments?limit=3" + (f"&cursor={cursor}" if cursor else ""))
        assert len(page["items"]) <= 3
        keys += [item["key"] for item in page["items"]]
        cursor = page["nextCursor"]
    assert keys == [f"k{number}" for number in range(6, -1, -1)]
    for wrong in ("cursor=x", "cursor=YmVmb3JlOi0x", "cursor=%00", "limit=0", "limit=501", "other=1"):
        assert (await providers.http.get(f"/payments?{wrong}")).status_code == 400, wrong


async def test_every_raw_call_is_in_the_log(providers: Providers) -> None:
    await charge(providers)
    await charge(providers)
    await charge(providers, amount=1)
    await providers.faults(payment={"failNext": 1})
    await charge(providers)
    await providers.http.post("/payments/void", json={"key": CHARGE["key"]})
    await charge(providers)
    calls = await providers.get("/calls")
    assert [(call["kind"], call["outcome"]) for call in reversed(calls["items"])] == [
        ("charge", "charged"),
        ("charge", "repeated"),
        ("charge", "mismatch"),
        ("charge", "failed"),
        ("void", "refunded"),
        ("charge", "voided"),
    ]
    assert len((await providers.get("/calls?kind=void&key=b1:payment"))["items"]) == 1


async def test_without_dedupe_every_call_charges_and_is_counted(tmp_path: Path) -> None:
    async with live_providers(tmp_path, dedupe="off") as providers:
        ids = {(await charge(providers)).json()["chargeId"] for _ in range(3)}
        await charge(providers, key="other")
        assert len(ids) == 3
        assert await stats(providers, "charges", "rawCalls", "maxChargesPerKey") == (2, 4, 3)
        void = await providers.http.post("/payments/void", json={"key": CHARGE["key"]})
        assert void.json()["refunded"] == 3 * 12_345


async def test_faults_fail_delay_and_end(providers: Providers) -> None:
    await providers.faults(payment={"failNext": 2, "delayMs": 80})
    started = asyncio.get_running_loop().time()
    assert [(await charge(providers)).status_code for _ in range(3)] == [500, 500, 201]
    assert asyncio.get_running_loop().time() - started >= 0.24
    assert (await providers.get("/faults"))["payment"]["failNext"] == 0
    await providers.faults(payment={"failRate": 1})
    assert (await charge(providers)).json()["code"] == "simulated_failure"
    assert (await providers.http.delete("/faults")).json()["payment"]["failRate"] == 0
    assert (await charge(providers)).status_code == 200
    bad: list[dict[str, dict[str, int]]]
    bad = [{"payment": {"failRate": 2}}, {"payment": {"x": 1}}, {"payment": {"failNext": -1}}, {"x": {}}]
    for wrong in bad:
        assert (await providers.http.put("/faults", json=wrong)).status_code == 400, wrong


async def test_a_lost_answer_took_effect(providers: Providers) -> None:
    await providers.faults(payment={"loseNext": 1})
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        await charge(providers)
    assert (await charge(providers)).json()["repeated"] is True
    (_, lost) = (await providers.get("/calls"))["items"]
    assert lost["lost"] is True and lost["outcome"] == "charged"
    await providers.faults(payment={"loseRate": 1})
    with pytest.raises(httpx.RemoteProtocolError):
        await providers.http.post("/payments/void", json={"key": CHARGE["key"]})
    await providers.faults()
    assert (await providers.http.post("/payments/void", json={"key": CHARGE["key"]})).json()["repeated"] is True


async def test_the_log_cannot_be_rewritten_and_only_the_old_is_pruned(providers: Providers, tmp_path: Path) -> None:
    await charge(providers)
    db = sqlite3.connect(tmp_path / "providers.sqlite3", isolation_level=None)
    for statement in ("UPDATE calls SET outcome = 'x'", "DELETE FROM calls"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(statement)
    db.execute("INSERT INTO calls (at, kind, key, outcome) VALUES (1, 'charge', 'old', 'charged')")
    db.execute("INSERT INTO charges (id, key, amount, currency, reference, at) VALUES ('x', 'old', 1, 'EUR', '', 1)")
    prune(db, older_than_ms=1000, keep_mail_contents=10)
    assert db.execute("SELECT key FROM calls").fetchall() == [(CHARGE["key"],)]
    assert db.execute("SELECT key FROM charges").fetchall() == [(CHARGE["key"],)]
    db.close()


async def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    async with providers_process(tmp_path) as (process, providers):
        answers = await asyncio.gather(*(charge(providers, key=f"k{number}") for number in range(100)))
        ids = {answer.json()["key"]: answer.json()["chargeId"] for answer in answers}
        process.kill()
        await process.wait()
    async with providers_process(tmp_path) as (process, providers):
        again = await asyncio.gather(*(charge(providers, key=f"k{number}") for number in range(100)))
        assert all(answer.status_code == 200 for answer in again)
        assert {answer.json()["key"]: answer.json()["chargeId"] for answer in again} == ids
        assert await stats(providers, "charges", "rawCalls", "maxChargesPerKey") == (100, 200, 1)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_a_disk_that_refuses_writes_is_503_and_heals(providers: Providers, tmp_path: Path) -> None:
    blocker = sqlite3.connect(tmp_path / "providers.sqlite3", isolation_level=None)
    blocker.execute("ALTER TABLE totals RENAME TO away")
    refused = await charge(providers)
    assert refused.status_code == 503 and refused.headers["retry-after"]
    blocker.execute("ALTER TABLE away RENAME TO totals")
    blocker.close()
    assert (await charge(providers)).status_code == 201
    assert await stats(providers, "charges", "rawCalls") == (1, 1)
