"""T17: every route of every service, asked with every wrong key. The routes are the apps' own, so none is left out."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from api_service.app import Parts
from booking_queue.backends import redis_stream, rq_queue
from booking_queue.backends.base import Publisher
from booking_queue.domain.access import Scope
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.connection import connect
from booking_queue.ledger.keys import Keys
from booking_queue.ledger.ledger import Claim, Ledger
from booking_queue.ledger.script import Scripts
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from booking_queue.web.direct import BackendService
from booking_queue.web.service import rules
from kafka_service.app import make_publisher as kafka_publisher
from tests.services.api_world import BOOKING
from tests.services.keyed import ALL, API_KEY, Asker, Route, apps_of, asking, key_of, routes_of

OPEN = {"/livez", "/readyz", "/api/session"}
ANY_KEY = {"/openapi.json", "/docs", "/docs/start.js", "/docs/{name}"}
SAFE = {"GET", "HEAD"}

# What a tenant's key may ask, beside what is by id: each has a case below or shows nothing of a tenant's.
LISTS = {"/api/bookings", "/api/dead-letters"}
MANY = {"/api/dead-letters/redrive", "/api/dead-letters/discard"}
NEW = {"/api/bookings", "/api/bookings/delayed", "/api/bookings/batch"} | {
    f"/{kind}{way}" for kind in ("jobs", "messages") for way in ("", "/delayed", "/batch")
}
ELSEWHERE = {"/api/events", "/api/hotels/{id}/inventory"}  # test_api_keys.py; of no tenant


@pytest.fixture
def settings_(redis_settings: Settings) -> Settings:
    return asking(redis_settings, publish_deadline=0.3)


@pytest.fixture
async def redis(settings_: Settings) -> AsyncIterator[Redis]:
    client = connect(settings_)
    yield client
    await client.aclose()


def filled(path: str) -> str:
    return re.sub(r"{\w+}", "1", path)


async def test_every_route_is_closed_to_every_key_but_the_right_ones(settings_: Settings, redis: Redis) -> None:
    keys, apps = Keys(redis, settings_), apps_of(settings_)
    askers = {name: Asker(app, **({} if name == "providers" else {"keys": keys})) for name, app in apps.items()}
    revoked, made = (await keys.make("x", "", ALL))[1], await keys.make("x", "", ALL)
    await keys.revoke(made[0].id)
    strangers = ["", "x", API_KEY[:-1], made[1], f"{revoked[:-1]}{'A' if revoked[-1] != 'A' else 'B'}"]
    without = {scope: await key_of(keys, "", *(ALL - {scope})) for scope in Scope}
    only = {scope: await key_of(keys, "", scope) for scope in Scope}
    tenants = await key_of(keys, "acme")
    asked = 0
    for route in routes_of(apps):
        if route.rule is None:
            assert route.path in OPEN, route
            continue
        asked += 1

        async def ask(key: str, route: Route = route) -> httpx.Response:
            return await askers[route.service](route.method, filled(route.path), key, json={})

        for key in strangers:
            assert (await ask(key)).status_code == 401, (route, key)
        scope = route.rule.scope
        if scope is None:
            assert route.path in ANY_KEY and route.method in SAFE, route
            continue
        assert scope.endswith(":read") == (route.method in SAFE), (route, "looking reads, all else writes")
        assert (await ask(API_KEY)).status_code not in (401, 403), route
        if route.service == "providers":
            continue  # the outside world has no Redis, and knows the operator's key alone
        wrong = await ask(without[scope])
        assert (wrong.status_code, wrong.json()["scope"]) == (403, scope), route
        assert (await ask(only[scope])).status_code not in (401, 403), route
        if not route.rule.tenants:
            foreign = await ask(tenants)
            assert (foreign.status_code, foreign.json()["code"]) == (403, "tenant"), route
    assert asked > 90


def test_the_documents_say_which_key_each_route_needs(settings_: Settings) -> None:
    for app in apps_of(settings_).values():
        told = app.openapi()["paths"]
        for method, path, rule in rules(app):
            if rule is not None and path in told:
                assert told[path][method.lower()]["security"][0] == {"apiKey": [rule.scope]}, (method, path)
        for path in OPEN & set(told):
            assert all("security" not in operation for operation in told[path].values()), path


@dataclass
class Town:
    """A booking of acme's on three backends, and one that died on RQ; and globex, who should not know of them."""

    booking: str
    dead: str
    acme: str
    globex: str
    askers: dict[str, Asker]
    routes: list[Route]
    ledger: Ledger

    async def ask(self, route: Route, key: str, job_id: str = "", **asked: Any) -> httpx.Response:
        """Of acme's, unless another job is named."""
        job_id = job_id or (self.dead if "dead-letters" in route.path else self.booking)
        path = re.sub(r"{\w+}", job_id, route.path.replace("{backend}", "rq"))
        return await self.askers[route.service](route.method, path, key, **asked)

    def told(self, answer: httpx.Response) -> tuple[int, Any]:
        body = answer.json()
        return answer.status_code, (body["code"], body["detail"]) if answer.is_error else body


@pytest.fixture
async def town(settings_: Settings, redis: Redis) -> AsyncIterator[Town]:
    parts, apps = Parts(settings_, Metrics()), apps_of(settings_)
    keys = parts.gateway.keys
    askers = {"api": Asker(apps["api"], gateway=parts.gateway, parts=parts, keys=keys)}
    scripts = Scripts(redis, settings_, extra=f"{rq_queue.LUA}\n{redis_stream.LUA}")
    publishers: dict[str, Publisher] = {
        "queue": rq_queue.RqPublisher(scripts, settings_),
        "stream": redis_stream.StreamPublisher(scripts, settings_),
        "kafka-service": kafka_publisher(scripts, settings_),
    }
    for name, publisher in publishers.items():
        service = BackendService(publisher, scripts, settings_, Metrics())
        askers[name] = Asker(apps[name], service=service, keys=keys)
    acme, globex = await key_of(keys, "acme"), await key_of(keys, "globex")
    booked = [await askers["api"]("POST", "/api/bookings", acme, json=BOOKING) for _ in range(2)]
    booking, dead = (answer.json()["bookingId"] for answer in booked)
    claim = await parts.gateway.ledger.claim(dead, Backend.RQ, 1, "w")
    assert isinstance(claim, Claim) and await parts.gateway.ledger.bury(claim, "no")
    routes = [route for route in routes_of(apps) if route.rule and route.rule.scope and route.rule.tenants]
    yield Town(booking, dead, acme, globex, askers, routes, parts.gateway.ledger)
    await parts.close()


async def test_what_is_another_tenants_is_what_never_was(town: Town) -> None:
    never, asked = str(uuid.uuid4()), 0
    for route in town.routes:
        if "{" not in route.path or route.path in ELSEWHERE:
            continue
        asked += 1
        unknown = town.told(await town.ask(route, town.globex, never))
        assert unknown[0] == 404, route
        assert town.told(await town.ask(route, town.globex)) == unknown, route
        if route.method == "GET" and not route.path.endswith("/events"):
            assert town.told(await town.ask(route, town.acme)) != unknown, route
    booking, dead = await town.ledger.get(town.booking), await town.ledger.get(town.dead)
    assert booking and dead and asked > 10
    assert not booking.cancel and dead.legs[Backend.RQ].state is State.DEAD


async def test_lists_and_sweeps_show_a_tenant_its_own_alone(town: Town) -> None:
    theirs = {"items": [{"backend": "rq", "id": town.dead}]}
    for route in town.routes:
        if "{" in route.path or route.path in ELSEWHERE or (route.method == "POST" and route.path in NEW):
            continue
        if route.path in MANY:
            for body, refused in ((theirs, 1), ({"matching": {}}, 0), ({"matching": {"q": "no"}}, 0)):
                found = (await town.ask(route, town.globex, json=body)).json()
                assert (found["refused"], len(found["items"])) == (refused, refused), route
            continue
        assert route.path in LISTS, f"{route} may be asked with a tenant's key, and no case tries another's"
        for params in ({}, {"q": town.dead}, {"q": BOOKING["userId"]}):
            assert (await town.ask(route, town.globex, params=params)).json()["items"] == [], (route, params)
            own = (await town.ask(route, town.acme, params=params)).json()["items"]
            assert any(town.dead in item.values() for item in own), (route, params)


async def test_what_is_posted_straight_to_a_backend_is_the_tenants(town: Town) -> None:
    job = {"type": "noop", "data": {}}
    for route in town.routes:
        if route.path not in NEW or route.service == "api":
            continue
        body = (
            {"items": [job]} if route.path.endswith("batch") else job | {"delay": 1} if "delayed" in route.path else job
        )
        answer = await town.ask(route, town.globex, json=body)
        assert answer.status_code == 201, (route, answer.text)
        told = answer.json()
        told = told["items"][0] if "items" in told else told
        record = await town.ledger.get(told.get("jobId") or told["messageId"])
        assert record and record.tenant == "globex", route


async def test_no_tenant_asks_for_faults_and_an_operator_may(town: Town) -> None:
    asked = BOOKING | {"simulate": {"failAt": "validate", "crash": True}}
    for route in town.routes:
        if route.path not in NEW or route.method != "POST":
            continue
        gateways = route.service == "api"
        one = asked if gateways else {"type": "booking", "data": asked}
        many, field = ("bookings", "simulate") if gateways else ("items", "data.simulate")
        batch, delayed = route.path.endswith("batch"), {} if gateways else {"delay": 1}
        body = {many: [one]} if batch else one | (delayed if "delayed" in route.path else {})
        answer = await town.ask(route, town.acme, json=body)
        told = answer.json()["items"][0] if batch else answer.json()
        assert batch or answer.status_code == 400, (route, answer.text)
        (error,) = told["errors"]
        assert (error["field"], error["code"]) == (field, "refused"), route
        assert "operator's key" in error["message"], "the remedy"
        free = await town.ask(route, API_KEY, json=body)
        assert free.status_code in (201, 202), (route, free.text)
        assert not batch or free.json()["accepted"] == 1, route
