"""The pages where keys are needed: a tenant's opens what is its own, and nothing is offered that it cannot have."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page, expect

from local.private_suite import ROOT
from local.probe import LOOPBACK, free_port, wait_until
from tests.browser.site import STAY, Site, answers, clean, previewed, settled

KEY = "k" * 32
NO_TURN = "const later = setTimeout; setTimeout = (act, ms, ...how) => (ms < 1000 ? later(act, ms, ...how) : 0);"
SERVICES = {"queue": "QUEUE_SERVICE_URL", "stream": "STREAM_SERVICE_URL", "kafka-service": "KAFKA_SERVICE_URL"}


def environment(site: Site, folder: str) -> dict[str, str]:
    redis = urlsplit(site.suite.redis_url())
    return {
        **os.environ,
        **{name: site.suite.url(service) for service, name in SERVICES.items()},
        "PROVIDERS_URL": site.suite.url("providers"),
        "REDIS_HOST": redis.hostname or "",
        "REDIS_PORT": str(redis.port),
        "REDIS_PASSWORD": redis.password or "",
        "AUTH": "required",
        "API_KEY": KEY,
        "DOCUMENTS_DIR": folder,
        "HISTORY_FILE": f"{folder}/history",
    }


@pytest.fixture(scope="module")
def keyed(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same suite behind a gateway and a monitoring that ask for keys: where its pages are."""
    folder = tmp_path_factory.mktemp("keyed")
    env = environment(site, str(folder))
    urls: dict[str, str] = {}
    with ExitStack() as stack:
        for name in ("api_service", "monitoring_service"):
            port = free_port()
            urls[name] = f"http://{LOOPBACK}:{port}"
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            command = [sys.executable, "-m", f"{name}.app"]
            process = subprocess.Popen(
                command, cwd=ROOT, env=env | {"PORT": str(port), "API_URL": urls["api_service"]}, stdout=log, stderr=log
            )
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
        assert all(wait_until(lambda url=url: answers(f"{url}/livez"), 40) for url in urls.values())  # type: ignore[misc]
        yield stack.enter_context(previewed(urls["api_service"], urls["monitoring_service"], free_port()))


def key_of(url: str, tenant: str | None, *scopes: str) -> str:
    body = {"name": "a test's", "tenant": tenant, "scopes": scopes}
    answer = httpx.post(f"{url}/api/keys", json=body, headers={"x-api-key": KEY})
    assert answer.status_code == 201, answer.text
    secret: str = answer.json()["apiKey"]
    return secret


def enter(page: Page, url: str, key: str) -> None:
    page.context.clear_cookies()
    page.goto(url)
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("button", name="Forget key")).to_be_visible()


def links(page: Page) -> list[str]:
    return page.get_by_role("navigation", name="Pages").get_by_role("link").all_text_contents()


def refusals(page: Page) -> list[str]:
    """Grows with each answer that says that this key may not."""
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status == 403 else None)
    return refused


def test_who_may_not_see_bookings_is_not_refused_again_and_again(page: Page, keyed: str) -> None:
    refused = refusals(page)
    enter(page, keyed, key_of(keyed, None, "ops:read"))
    settled(page)
    expect(page.locator(".legend-note")).to_contain_text("No dot shows a job on its way: it needs a key with")
    expect(page.locator(".lane-card .running").first).to_contain_text(re.compile(r"of \d"))
    assert not clean(page, "overview-no-bookings")
    page.get_by_role("link", name="Workers", exact=True).click()
    expect(page.locator(".worker").first).to_be_visible()
    page.get_by_role("link", name="Backends").click()
    settled(page)
    expect(page.get_by_text("Consumers of the group")).to_be_visible()
    assert links(page) == ["Overview", "Dead letters", "Workers", "Backends"]
    assert not refused


def test_who_may_send_and_not_look_is_told_that_ends_are_not_shown(page: Page, keyed: str) -> None:
    refused = refusals(page)
    enter(page, f"{keyed}/bookings/new", key_of(keyed, None, "bookings:write"))
    page.get_by_label("Bookings", exact=True).fill("2")
    page.get_by_role("button", name="Book 2", exact=True).click()
    expect(page.get_by_text("2 of 2 accepted")).to_be_visible()
    expect(page.get_by_text("What becomes of them is not shown")).to_be_visible()
    assert links(page) == ["New booking"]
    assert not refused


def test_a_tenant_s_key_opens_what_is_its_own_and_offers_no_more(page: Page, keyed: str) -> None:
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status == 403 else None)
    enter(page, keyed, key_of(keyed, "acme", "bookings:read", "bookings:write"))
    expect(page).to_have_url(f"{keyed}/bookings")
    expect(page.locator(".strip-status")).to_contain_text("tenant acme")
    assert links(page) == ["Jobs", "New booking"]
    page.get_by_role("link", name="Make the first one").click()
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.locator(".outcome .pill")).to_contain_text("confirmed")
    page.get_by_role("link", name="Jobs").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    assert not clean(page, "bookings-tenant")
    page.goto(f"{keyed}/workers")
    expect(page.get_by_text("This page needs an operator's key")).to_be_visible()
    assert not clean(page, "workers-tenant")
    page.goto(f"{keyed}/dead-letters")
    expect(page.locator("main")).to_contain_text("ops:read")
    assert not refused


def test_what_was_refused_is_asked_for_as_soon_as_the_key_is_there(page: Page, keyed: str) -> None:
    """Its own turn never comes: it is not by waiting that the page asks again."""
    key = key_of(keyed, "hasty", "bookings:read", "bookings:write")
    page.context.clear_cookies()
    page.add_init_script(NO_TURN)
    page.goto(f"{keyed}/bookings")
    expect(page.locator("main")).to_contain_text("An API key is needed")
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_text("No bookings yet")).to_be_visible()


def test_the_same_key_entered_again_leaves_what_was_being_edited(page: Page, site: Site, keyed: str) -> None:
    letter = site.dead_letter()
    key = key_of(keyed, None, "bookings:read", "ops:read", "ops:write")
    enter(page, f"{keyed}/dead-letters/kafka/{letter}", key)
    payload = page.get_by_label("Payload")
    edited = json.dumps({"userId": "edited", **STAY})
    payload.fill(edited)
    page.context.clear_cookies()
    page.get_by_role("button", name="Redrive").click()
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("button", name="Forget key")).to_be_visible()
    expect(payload).to_have_value(edited)
    page.get_by_role("button", name="Redrive").click()
    expect(page.get_by_text("Sent to Kafka")).to_be_visible()


def test_a_key_that_is_forgotten_takes_its_figures_along(page: Page, keyed: str) -> None:
    enter(page, keyed, KEY)
    figures = page.locator(".station .figure")
    expect(figures.filter(has_text=re.compile(r"\d"))).not_to_have_count(0)
    page.get_by_role("button", name="Forget key").click()
    expect(page.get_by_label("Key", exact=True)).to_be_visible()
    expect(figures.first).to_be_visible()
    expect(figures.filter(has_text=re.compile(r"\d"))).to_have_count(0)
    page.get_by_label("Key", exact=True).fill(KEY)
    page.get_by_role("button", name="Use this key").click()
    expect(figures.filter(has_text=re.compile(r"\d"))).not_to_have_count(0)


def test_who_may_only_look_is_offered_nothing_that_changes(page: Page, keyed: str) -> None:
    operator = {"x-api-key": KEY}
    booking = httpx.post(
        f"{keyed}/api/bookings", json={"userId": "seen", **STAY, "delaySeconds": 3600}, headers=operator
    )
    url = f"{keyed}/bookings/{booking.json()['bookingId']}"
    enter(page, url, key_of(keyed, None, "bookings:read", "ops:read"))
    expect(page.locator(".outcome .pill")).to_contain_text("accepted")
    expect(page.get_by_role("button", name="Copy as curl")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Cancel"))).to_have_count(0)
    page.get_by_role("link", name="Backends").click()
    settled(page)
    expect(page.get_by_role("heading", name="Redis Streams")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^(Pause|Resume)"))).to_have_count(0)
    assert links(page) == ["Overview", "Jobs", "Dead letters", "Workers", "Backends"]
    page.goto(f"{keyed}/bookings/new")
    expect(page.get_by_text("This page needs another key")).to_be_visible()
    expect(page.locator("main")).to_contain_text("bookings:write")
