"""API keys beside the operator's, and what a tenant has for itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from api_service import places
from booking_queue.domain.access import Scope
from booking_queue.domain.job import Backend
from booking_queue.ledger import keys as module
from booking_queue.ledger.connection import connect
from booking_queue.ledger.keys import Keys
from booking_queue.settings import Settings
from tests.services.api_world import BOOKING, World, until, world
from tests.services.keyed import API_KEY, Asker, apps_of, asking, key_of

EVERY = [scope.value for scope in Scope]


@dataclass
class Shop:
    """The gateway, asked with a key."""

    world: World
    keys: Keys
    acme: str
    globex: str

    async def ask(self, key: str, method: str, path: str, **asked: Any) -> httpx.Response:
        headers = {**asked.pop("headers", {}), **({"x-api-key": key} if key else {})}
        return await self.world.http.request(method, path, headers=headers, **asked)

    async def book(self, key: str, **headers: str) -> httpx.Response:
        return await self.ask(key, "POST", "/api/bookings", json={**BOOKING, "backends": ["rq"]}, headers=headers)

    async def make(self, key: str = API_KEY, **wanted: Any) -> httpx.Response:
        return await self.ask(key, "POST", "/api/keys", json={"name": "shop", "scopes": EVERY, **wanted})


@pytest.fixture
async def shop(redis_settings: Settings) -> AsyncIterator[Shop]:
    async with world(redis_settings, up=False, auth="required", api_key=API_KEY) as made:
        keys = Keys(made.redis, made.settings)
        yield Shop(made, keys, await key_of(keys, "acme"), await key_of(keys, "globex"))


async def test_a_key_is_shown_once_and_kept_as_a_hash(shop: Shop) -> None:
    answer = await shop.make(tenant="acme", scopes=["bookings:read"])
    assert answer.status_code == 201 and answer.headers["cache-control"] == "no-store"
    made = answer.json()
    secret = made.pop("apiKey")
    assert len(secret.split("_", 2)[2]) == 43  # 256 bits
    assert (made["name"], made["tenant"], made["scopes"]) == ("shop", "acme", ["bookings:read"]) and made["createdAt"]
    listed = await shop.ask(API_KEY, "GET", "/api/keys")
    assert listed.json()["items"][0] == made and secret not in listed.text
    kept: Any = await shop.world.redis.hgetall(shop.world.key("keys"))
    assert not any(secret.encode() in row or secret.split("_", 2)[2].encode() in row for row in kept.values())
    assert (await shop.ask(secret, "GET", "/api/bookings")).status_code == 200


async def test_the_next_key_holds_beside_the_last_until_that_is_revoked(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KNOWN_SECONDS", 0.2)
    old, new = (await shop.make()).json(), (await shop.make()).json()
    for key in (old, new):
        assert (await shop.ask(key["apiKey"], "GET", "/api/bookings")).status_code == 200
    elsewhere = Keys(shop.world.redis, shop.world.settings)
    assert await elsewhere.by_secret(old["apiKey"].encode())
    assert (await shop.ask(new["apiKey"], "DELETE", f"/api/keys/{old['id']}")).status_code == 204
    assert (await shop.ask(old["apiKey"], "GET", "/api/bookings")).status_code == 401
    assert (await shop.ask(new["apiKey"], "GET", "/api/bookings")).status_code == 200

    async def refused() -> bool:
        return await elsewhere.by_secret(old["apiKey"].encode()) is None

    await until(refused)
    assert (await shop.ask(API_KEY, "DELETE", f"/api/keys/{old['id']}")).status_code == 404


async def test_a_key_that_is_looked_up_while_it_is_revoked_is_not_known_after(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(shop.world.redis, shop.world.settings)
    made, secret = await keys.make("shop", "", [Scope.OPS_READ])
    find, remove = keys._redis.hget, keys._redis.hdel
    read, revoked = asyncio.Event(), asyncio.Event()

    async def told_late(*row: str) -> Any:
        found = await find(*row)
        read.set()
        await revoked.wait()
        return found

    async def removed_late(*row: str) -> Any:
        assert await keys.by_id(made.id)
        return await remove(*row)

    monkeypatch.setattr(keys._redis, "hdel", removed_late)
    monkeypatch.setattr(keys._redis, "hget", told_late)
    slow = asyncio.create_task(keys.by_id(made.id))
    await read.wait()
    monkeypatch.setattr(keys._redis, "hget", find)
    assert await keys.revoke(made.id)
    revoked.set()
    await slow
    assert await keys.by_secret(secret.encode()) is None


async def test_no_key_gives_more_than_it_has(shop: Shop) -> None:
    small = (await shop.make(scopes=["ops:write", "bookings:read"])).json()["apiKey"]
    more = await shop.make(small, scopes=["bookings:read", "ops:read"])
    assert (more.status_code, more.json()["scope"]) == (403, "ops:read")
    assert (await shop.make(small, scopes=["bookings:read"])).status_code == 201


async def test_a_bad_key_is_not_made(shop: Shop) -> None:
    names: list[dict[str, Any]] = [{"name": ""}, {"name": "\n"}, {"tenant": ""}, {"tenant": "Acme"}, {"tenant": "a:b"}]
    for wanted in (*names, {"scopes": []}, {"scopes": ["all"]}, {"more": 1}):
        answer = await shop.make(**wanted)
        assert answer.status_code == 400 and answer.json()["errors"], wanted


async def test_keys_are_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    assert (await shop.make()).status_code == 409


async def test_without_keys_none_is_left_for_later(redis_settings: Settings) -> None:
    async with world(redis_settings, up=False) as open_:
        answer = await open_.http.post("/api/keys", json={"name": "x", "scopes": EVERY})
        assert answer.status_code == 409 and not await open_.redis.exists(open_.key("keys"))


async def test_without_redis_the_operator_is_still_known_and_the_others_wait(redis_settings: Settings) -> None:
    away = asking(redis_settings, redis_port=1)
    redis = connect(away)
    ask = Asker(apps_of(away)["api"], keys=Keys(redis, away))
    assert (await ask("GET", "/docs", API_KEY)).status_code == 200
    assert (await ask("GET", "/docs", "x")).status_code == 401
    answer = await ask("GET", "/docs", f"bqk_{'0' * 16}_{'A' * 43}")
    assert answer.status_code == 503 and answer.headers["retry-after"]
    await redis.aclose()


# Tenants


async def test_the_operator_sees_every_tenant_s_and_they_do_not_see_its(shop: Shop) -> None:
    own, theirs = (await shop.book(API_KEY)).json()["bookingId"], (await shop.book(shop.acme)).json()["bookingId"]
    for key, seen in ((API_KEY, {own, theirs}), (shop.acme, {theirs}), (shop.globex, set())):
        items = (await shop.ask(key, "GET", "/api/bookings")).json()["items"]
        assert {item["bookingId"] for item in items} == seen
        for booking in (own, theirs):
            status = (await shop.ask(key, "GET", f"/api/bookings/{booking}")).status_code
            assert status == (200 if booking in seen else 404)


async def test_an_idempotency_key_is_a_tenant_s_own(shop: Shop) -> None:
    answers = [await shop.book(key, **{"Idempotency-Key": "k"}) for key in (shop.acme, shop.globex, API_KEY, shop.acme)]
    made = [answer.json()["bookingId"] for answer in answers]
    assert len(set(made)) == 3 and made[0] == made[3]
    assert answers[3].headers["idempotency-replayed"] == "true"


async def test_a_tenant_does_not_simulate_by_editing_what_died(shop: Shop) -> None:
    job = (await shop.book(shop.acme)).json()["bookingId"]
    assert await shop.world.ledger.bury(await shop.world.claim(job, Backend.RQ), "no")
    body, path = {"data": {**BOOKING, "simulate": {"crash": True}}}, f"/api/dead-letters/rq/{job}/redrive"
    answer = await shop.ask(shop.acme, "POST", path, json=body)
    assert answer.status_code == 400, answer.text
    (error,) = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("data.simulate", "refused")
    assert (await shop.ask(API_KEY, "POST", path, json=body)).status_code == 202


async def test_a_tenant_with_too_much_outstanding_is_told_to_wait(shop: Shop) -> None:
    limits = {"tenant": {"outstanding": 2}, "tenant:globex": {"outstanding": 1}}
    told = await shop.ask(API_KEY, "PUT", "/api/limits", json=limits)
    assert told.json()["limits"]["tenant:globex"] == {"outstanding": 1}
    first = (await shop.book(shop.acme)).json()["bookingId"]
    assert (await shop.book(shop.acme)).status_code == 202
    full = await shop.book(shop.acme, **{"Idempotency-Key": "once"})
    assert full.status_code == 429 and full.json()["code"] == "too_many_requests"
    assert int(full.headers["retry-after"]) > 0
    assert full.headers["ratelimit-policy"] == '"outstanding";q=2' and '"outstanding";r=0' in full.headers["ratelimit"]
    items = {"bookings": [{**BOOKING, "backends": ["rq"]}] * 2}
    assert (await shop.ask(shop.acme, "POST", "/api/bookings/batch", json=items)).status_code == 429
    batch = (await shop.ask(shop.globex, "POST", "/api/bookings/batch", json=items)).json()
    assert (batch["accepted"], batch["refused"]) == (1, 1) and "outstanding" in batch["items"][1]["error"]
    assert (await shop.book(API_KEY)).status_code == 202
    assert await shop.world.ledger.complete(await shop.world.claim(first, Backend.RQ), {})
    assert (await shop.book(shop.acme, **{"Idempotency-Key": "once"})).status_code == 202


async def test_a_tenant_s_limit_is_one_of_outstanding_work(shop: Shop) -> None:
    one = {"outstanding": 1}
    for limits in ({"tenant:Acme": one}, {"tenant": {"paused": True}}, {"tenant:acme": {"concurrency": 1}}):
        assert (await shop.ask(API_KEY, "PUT", "/api/limits", json=limits)).status_code == 400, limits


# Those who stay


@asynccontextmanager
async def following(shop: Shop, key: str, **headers: str) -> AsyncIterator[tuple[list[str], asyncio.Task[None]]]:
    """The lines that come, and a task that ends when the stream does."""
    lines: list[str] = []

    async def read() -> None:
        asked = {"x-api-key": key, **headers}
        async with shop.world.http.stream("GET", "/api/events", headers=asked, timeout=20) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                lines.append(line)

    task = asyncio.create_task(read())
    await until(lambda: bool(lines))
    yield lines, task
    task.cancel()
    await asyncio.wait([task])


async def test_events_are_a_tenant_s_own_also_those_it_missed(shop: Shop) -> None:
    _, missed = await shop.book(shop.acme), (await shop.book(shop.acme)).json()["bookingId"]
    entries: Any = await shop.world.redis.xrange(shop.world.key("events"), count=1)
    since = {"last-event-id": entries[0][0].decode()}
    async with following(shop, shop.globex, **since) as (seen, _), following(shop, API_KEY, **since) as (all_, _):
        theirs = (await shop.book(shop.acme)).json()["bookingId"]
        own = (await shop.book(shop.globex)).json()["bookingId"]
        await until(lambda: own in "".join(seen) and theirs in "".join(all_) and own in "".join(all_))
        assert missed in "".join(all_) and missed not in "".join(seen)
        assert "acme" not in "".join(seen) and theirs not in "".join(seen)
    assert '"tenant":"acme"' in "".join(all_)


async def test_a_stream_ends_when_its_key_is_revoked(shop: Shop) -> None:
    key = (await shop.make(scopes=["bookings:read"])).json()
    async with following(shop, key["apiKey"]) as (lines, task):
        await shop.ask(API_KEY, "DELETE", f"/api/keys/{key['id']}")
        late = (await shop.book(API_KEY)).json()["bookingId"]
        await asyncio.wait_for(asyncio.shield(task), 10)
        assert "event: bye" in lines and late not in "".join(lines)


async def test_a_tenant_leaves_others_room_to_follow(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MOST_OF_A_TENANT", 1)
    async with following(shop, shop.acme), following(shop, API_KEY), following(shop, API_KEY):
        answer = await shop.ask(shop.acme, "GET", "/api/events")
        assert answer.status_code == 429 and "retry-after" in answer.headers
        async with following(shop, shop.globex):
            pass

    async def room() -> bool:
        async with shop.world.http.stream("GET", "/api/events", headers={"x-api-key": shop.acme}) as answer:
            return answer.status_code == 200

    await until(room)


async def test_a_crowd_that_comes_at_once_is_counted_too(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MOST_OF_A_TENANT", 5)
    statuses: list[int] = []

    async def client() -> None:
        async with shop.world.http.stream("GET", "/api/events", headers={"x-api-key": shop.acme}) as answer:
            statuses.append(answer.status_code)
            await until(lambda: len(statuses) == 30)

    await asyncio.gather(*(client() for _ in range(30)))
    assert sorted(statuses) == [200] * 5 + [429] * 25


async def test_a_browser_s_session_is_the_tenant_s_and_ends_with_its_key(shop: Shop) -> None:
    key = (await shop.make(tenant="acme", scopes=["bookings:read"])).json()
    await shop.book(API_KEY)
    opened = await shop.ask("", "POST", "/api/session", json={"apiKey": key["apiKey"]})
    assert opened.status_code == 200 and key["apiKey"] not in opened.headers["set-cookie"]
    assert (await shop.ask("", "GET", "/api/bookings")).json()["items"] == []
    told = (await shop.ask("", "GET", "/api/session")).json()
    assert told["expiresAt"] and (told["tenant"], told["scopes"]) == ("acme", ["bookings:read"])
    assert (await shop.ask("", "GET", "/api/limits")).status_code == 403
    await shop.ask(API_KEY, "DELETE", f"/api/keys/{key['id']}")
    assert (await shop.ask("", "GET", "/api/bookings")).status_code == 401
    assert (await shop.ask("", "GET", "/api/session")).json()["expiresAt"] is None
