from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from fastapi import APIRouter

from booking_queue.settings import Settings
from booking_queue.web.service import create_app
from tests.services.live_app import Live, live


@pytest.fixture
async def server() -> AsyncIterator[Live]:
    router = APIRouter()

    @router.api_route("/jobs", methods=["GET", "POST", "DELETE"])
    async def jobs() -> dict[str, str]:
        return {}

    settings = Settings(frontend_url="https://queues.example.org:8443", api_url="http://gateway.internal:3000")
    async with live(create_app("test", settings, default_port=0, routers=[router])) as server:
        yield server


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:3000", 200),
        ("10.1.2.3", 200),
        ("[::1]:3000", 200),
        ("localhost:5173", 200),
        ("suite.localhost", 200),
        ("api:3000", 200),
        ("queues.example.org:8443", 200),
        ("QUEUES.example.org", 200),
        ("gateway.internal:3000", 200),
        ("evil.example:3000", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("queues.example.org.evil.example", 421),
        ("[::1.evil.example", 421),
    ],
)
async def test_a_name_that_somebody_made_point_at_us_opens_nothing(server: Live, host: str, status: int) -> None:
    answer = await server.http.get("/jobs", headers={"host": host})
    assert answer.status_code == status
    assert status == 200 or (answer.json()["code"] == "host" and "FRONTEND_URL" in answer.json()["error"])


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_a_page_of_another_site_changes_nothing(server: Live, method: str) -> None:
    for origin in (None, server.url, "https://queues.example.org:8443"):
        headers = {"origin": origin} if origin else {}
        assert (await server.http.request(method, "/jobs", headers=headers)).status_code == 200, origin
    for origin in ("http://127.0.0.1:9", "http://evil.example", "null", "http://["):
        answer = await server.http.request(method, "/jobs", headers={"origin": origin})
        assert answer.status_code == 403 and answer.json()["code"] == "origin", origin
        assert (await server.http.get("/jobs", headers={"origin": origin})).status_code == 200, "it cannot read this"


async def test_with_keys_the_key_decides() -> None:
    settings = Settings(auth="required", api_key="k" * 32)
    async with live(create_app("test", settings, default_port=0)) as server:
        headers = {"x-api-key": "k" * 32, "host": "evil.example", "origin": "http://["}
        assert (await server.http.get("/health", headers=headers)).status_code == 200
