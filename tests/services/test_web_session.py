"""A browser's session: the key once, a cookie from then on, and only from our own page."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter

from api_service.routes import session as routes
from booking_queue.domain.access import Scope
from booking_queue.settings import Settings
from booking_queue.web import session
from booking_queue.web.service import create_app
from tests.services.live_app import Live, live

KEY = "k" * 32


@pytest.fixture
async def server() -> AsyncIterator[Live]:
    settings = Settings(auth="required", api_key=KEY)
    router = APIRouter()

    @router.get("/jobs")
    @router.post("/jobs", name="post_jobs")
    async def jobs() -> dict[str, str]:
        return {}

    async with live(create_app("test", settings, default_port=0, routers=[router, routes.router(settings)])) as running:
        yield running


async def opened(server: Live, **headers: str) -> httpx.Response:
    return await server.http.post("/api/session", json={"apiKey": KEY}, headers=headers)


async def test_the_key_opens_a_session_that_reads_and_is_not_the_key(server: Live) -> None:
    assert (await server.http.get("/jobs")).status_code == 401
    answer = await opened(server)
    assert answer.status_code == 200 and answer.json()["required"] and answer.json()["expiresAt"]
    told = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(told.split("; ")) and "Secure" not in told
    assert KEY not in told and answer.headers["cache-control"] == "no-store"
    assert (await server.http.get("/jobs")).status_code == 200
    assert (await server.http.get("/api/session")).json()["expiresAt"] == answer.json()["expiresAt"]


async def test_a_session_changes_things_only_from_our_own_page(server: Live) -> None:
    await opened(server)
    for origin in (server.url, "http://127.0.0.1:5173"):
        assert (await server.http.post("/jobs", headers={"origin": origin})).status_code == 200, origin
    for origin in ("http://127.0.0.1:9", "http://evil.example", "null", ""):
        answer = await server.http.post("/jobs", headers={"origin": origin} if origin else {})
        assert answer.status_code == 403 and answer.json()["code"] == "origin", origin
    with_key = {"x-api-key": KEY, "origin": "http://evil.example"}
    assert (await server.http.post("/jobs", headers=with_key)).status_code == 200
    assert (await server.http.post("/jobs", headers={"x-api-key": "wrong", "origin": server.url})).status_code == 401


async def test_forgetting_ends_it_and_others_cannot_make_us_forget(server: Live) -> None:
    await opened(server)
    foreign = await server.http.delete("/api/session", headers={"origin": "http://evil.example"})
    assert foreign.status_code == 403 and (await server.http.get("/jobs")).status_code == 200
    answer = await server.http.delete("/api/session", headers={"origin": server.url})
    assert answer.json() == {"required": True, "expiresAt": None, "tenant": "", "scopes": []}
    assert (await server.http.get("/jobs")).status_code == 401


async def test_the_cookie_is_secure_where_the_page_came_over_tls(server: Live) -> None:
    answer = await opened(server, origin=server.url.replace("http://", "https://"))
    assert answer.headers["set-cookie"].endswith("; Secure")


async def test_wrong_keys_are_bounded_and_then_the_right_one_waits_too(server: Live) -> None:
    for _ in range(session.FAILURES):
        answer = await server.http.post("/api/session", json={"apiKey": "wrong"})
        assert answer.status_code == 401 and "set-cookie" not in answer.headers
    answer = await opened(server)
    assert answer.status_code == 429 and 0 < int(answer.headers["retry-after"]) <= session.FAILURES_SECONDS + 1
    assert (await server.http.get("/jobs", headers={"x-api-key": KEY})).status_code == 200


async def test_a_key_that_is_no_text_is_refused(server: Live) -> None:
    for body in ({}, {"apiKey": ""}, {"apiKey": 7}, {"apiKey": KEY, "more": 1}):
        assert (await server.http.post("/api/session", json=body)).status_code == 400, body


async def test_without_a_key_there_is_nothing_to_open() -> None:
    settings = Settings()
    async with live(create_app("test", settings, default_port=0, routers=[routes.router(settings)])) as server:
        told = (await server.http.get("/api/session")).json()
        assert told == {"required": False, "expiresAt": None, "tenant": "", "scopes": sorted(Scope)}
        assert (await opened(server)).status_code == 409


def test_a_token_holds_until_it_expires_and_under_its_own_key_alone() -> None:
    token = session.issue(KEY, now=1000)
    assert session.read(KEY, token, now=1001) == (1000 + session.LIFE_SECONDS, "")
    assert session.read(KEY, token, now=1001 + session.LIFE_SECONDS) is None
    assert session.read("another", token, now=1001) is None
    end, salt, _, signature = token.split(".")
    forged = [
        f"{int(end) + 1}.{salt}..{signature}",
        f"{end}.{salt}.another.{signature}",
        f"{end}.{salt}..",
        *(signature, "", "a.b.c.d", "\xff.\xff.\xff", KEY),
    ]
    assert [session.read(KEY, each, now=1001) for each in forged] == [None] * len(forged)


def test_attempts_are_counted_by_peer_and_forgotten_in_time() -> None:
    now = [0.0]
    attempts = session.Attempts(clock=lambda: now[0])
    for _ in range(session.FAILURES):
        assert attempts.wait_seconds("a") == 0
        attempts.failed("a")
    assert attempts.wait_seconds("a") > 0 and attempts.wait_seconds("b") == 0
    now[0] = session.FAILURES_SECONDS
    assert attempts.wait_seconds("a") == 0
    for number in range(session.MOST_PEERS + 5):
        attempts.failed(str(number))
    assert len(attempts._failed) == session.MOST_PEERS
