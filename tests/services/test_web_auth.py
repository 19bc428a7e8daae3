from __future__ import annotations

import pytest
from fastapi import APIRouter

from booking_queue.settings import Settings
from booking_queue.web.auth import check_settings, is_loopback
from booking_queue.web.service import create_app
from tests.services.live_app import live

KEY = "k" * 32


def protected() -> Settings:
    return Settings(auth="required", api_key=KEY)


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (Settings(auth="required"), "set API_KEY"),
        (Settings(bind_host="0.0.0.0"), "BIND_HOST=127.0.0.1"),
        (Settings(bind_host="::"), "TRUSTED_NETWORK=1"),
        (Settings(bind_host="example.org"), "AUTH=required"),
    ],
)
def test_unsafe_settings_do_not_start_and_the_remedy_is_named(settings: Settings, remedy: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        create_app("test", settings, default_port=0)
    assert remedy in str(stopped.value.code) and "\n" not in str(stopped.value.code)


def test_safe_settings_start() -> None:
    check_settings(Settings())
    check_settings(Settings(bind_host="0.0.0.0", trusted_network=True))
    check_settings(Settings(bind_host="0.0.0.0", auth="required", api_key=KEY))
    assert is_loopback("localhost") and is_loopback("::1") and is_loopback("127.0.0.9")
    assert not is_loopback("10.0.0.1")


async def test_only_livez_and_readyz_are_open() -> None:
    router = APIRouter()

    @router.get("/jobs")
    async def jobs() -> dict[str, str]:
        return {}

    async with live(create_app("test", protected(), default_port=0, routers=[router])) as server:
        for path in ("/livez", "/readyz"):
            assert (await server.http.get(path)).status_code == 200
        for path in (
            "/jobs",
            "/health",
            "/metrics",
            "/openapi.json",
            "/docs",
            "/nowhere",
            "/livez/",
            "//livez",
        ):
            answer = await server.http.get(f"{server.url}{path}")
            assert answer.status_code == 401, path
            assert answer.json()["error"] == "Unauthorized"
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_key_opens_as_header_or_bearer_and_nothing_else_does() -> None:
    async with live(create_app("test", protected(), default_port=0)) as server:
        good = [{"x-api-key": KEY}, {"authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {KEY}"}]
        bad = [
            {"x-api-key": KEY[:-1]},
            {"x-api-key": ""},
            {"authorization": KEY},
            {"authorization": f"Basic {KEY}"},
            {"x-api-key": "wrong", "authorization": f"Bearer {KEY}"},
        ]
        for headers in good:
            assert (await server.http.get("/health", headers=headers)).status_code == 200, headers
        for headers in bad:
            assert (await server.http.get("/health", headers=headers)).status_code == 401, headers
        assert (await server.http.get("/health", headers={b"x-api-key": b"\xff"})).status_code == 401
        wrong, none = [(await server.http.get("/health", headers=headers)).json()["detail"] for headers in (bad[0], {})]
        assert "not known here" in wrong and "Send your API key" in none, "one is told which of the two it is"
        assert (await server.http.get(f"/health?x-api-key={KEY}")).status_code == 401


async def test_nobody_gets_to_send_a_body_without_a_key() -> None:
    async with live(create_app("test", protected(), default_port=0)) as server:
        answer = await server.http.post("/jobs", content=b"{", headers={"content-type": "application/json"})
        assert answer.status_code == 401
