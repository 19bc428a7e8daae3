"""What the pages show while something is broken, and when it is well again."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from local.probe import wait_until
from tests.browser.site import Site, axe, clean, settled


def name_of(path: str) -> str:
    page, *which = path.strip("/").split("/")
    return (f"a-{page.removesuffix('s')}" if which else page) or "overview"


def test_a_killed_worker_is_seen_and_its_work_seen_moving(page: Page, site: Site) -> None:
    booking = site.book("moving", backends=["redisStreams"], simulate={"slowMs": 1500})
    status = f"/api/bookings/{booking}/status"

    def leg() -> dict[str, str]:
        found: dict[str, str] = site.get("api", status)["status"]["redisStreams"]
        return found

    assert wait_until(lambda: leg()["state"] == "active", 20, every=0.1)
    worker = leg()["worker"]
    page.goto(f"{site.url}/workers")
    card = page.locator(".worker").filter(has=page.get_by_text(worker, exact=True))
    expect(card.locator(".runs")).to_contain_text(booking[:8])
    site.suite.kill_worker(worker)
    strip = page.locator(".strip-status")
    expect(strip).to_contain_text(f"Worker {worker} is gone", timeout=40_000)
    expect(page.get_by_role("region", name="Workers that are gone")).to_contain_text(worker)
    expect(card).to_have_count(0)
    only_what_changed_is_told(page, strip)
    page.goto(f"{site.url}/bookings/{booking}")
    expect(page.locator(".timeline")).to_contain_text("taken over by", timeout=40_000)
    expect(page.locator(".outcome .pill")).to_contain_text("confirmed", timeout=40_000)
    page.goto(f"{site.url}/workers")
    expect(page.get_by_text(re.compile(r"^\d+ needed now: so many keep up"))).to_be_visible()


def only_what_changed_is_told(page: Page, strip: Locator) -> None:
    """A detail that counts seconds is not read aloud each time, and takes nothing from who is about to copy it."""
    strip.locator("summary").click()
    line = strip.locator("li").filter(has_text="no heartbeat").first.element_handle()
    before = line.text_content()
    page.wait_for_function("([line, before]) => line.textContent !== before", arg=[line, before])
    assert line.evaluate("line => line.isConnected")
    expect(strip.get_by_role("status")).to_have_text(re.compile(r"\w"))
    expect(strip.get_by_role("status")).not_to_contain_text("no heartbeat")


def test_figures_of_a_source_that_is_silent_do_not_look_live(page: Page, site: Site) -> None:
    silent: list[str] = []

    def told(route: Route) -> None:
        board = route.fetch().json()
        for source in silent:
            board["staleness"][source] = {"stale": True, "ageSeconds": 40, "error": "no answer within 2 s"}
        route.fulfill(json=board)

    page.route("**/monitoring/dashboard", told)
    page.goto(site.url)
    settled(page)
    card, tiles = page.locator(".lane-card.lane-rq"), page.locator(".tiles")
    expect(card.locator(".silent")).to_have_text("")
    silent.append("workers")
    expect(card.locator(".silent")).to_contain_text("What the workers tell: Stale, from 40 s ago")
    expect(card.locator(".station.stale")).to_contain_text("Running")
    expect(tiles.locator(".card.stale")).to_have_count(2)
    silent.append("ledger")
    expect(card).to_have_class(re.compile("stale"))
    expect(card.locator(".silent")).to_contain_text("What the ledger tells: Stale, from 40 s ago")
    expect(tiles).to_have_class(re.compile("stale"))
    assert not clean(page, "overview-silent")


def test_kafka_away_is_told_and_the_rest_goes_on(page: Page, site: Site) -> None:
    page.goto(site.url)
    settled(page)
    strip, lane = page.locator(".strip-status"), page.locator(".lane-card.lane-kafka")
    expect(lane).not_to_contain_text("Stale")
    site.suite.stop("kafka")
    try:
        expect(strip).to_contain_text("Kafka does not answer: its new jobs are kept and wait", timeout=40_000)
        expect(lane).to_contain_text("Stale")
        assert not clean(page, "overview-broken")
        booking = site.book("steady")
        page.goto(f"{site.url}/bookings/{booking}")
        expect(page.locator(".outcome .pill")).to_contain_text("confirmed")
        expect(page.locator(".lane-kafka .pill").first).to_contain_text("pending")
        for path in ("backends", "workers"):
            page.goto(f"{site.url}/{path}")
            settled(page)
            assert not clean(page, f"{path}-broken")
    finally:
        site.suite.start("kafka")
    page.goto(f"{site.url}/bookings/{booking}")
    expect(page.locator(".lane-kafka .pill").first).to_contain_text("completed", timeout=60_000)
    page.goto(site.url)
    expect(lane).not_to_contain_text("Stale", timeout=40_000)
    expect(strip).not_to_contain_text("Kafka")


@pytest.mark.parametrize("path", ["/bookings", "/dead-letters"], ids=name_of)
def test_what_was_listed_can_be_read_when_the_gateway_went(page: Page, site: Site, path: str) -> None:
    site.book("pale", delaySeconds=3600)
    site.dead_letter()
    page.goto(f"{site.url}{path}")
    expect(page.locator("tbody tr")).not_to_have_count(0)
    page.route("**/api/**", lambda route: route.fulfill(status=502, json={"title": "The gateway cannot be reached"}))
    expect(page.locator(".fresh.stale")).to_contain_text("cannot be reached")
    assert not axe(page)


A_BOOKING = "/bookings/00000000-0000-4000-8000-000000000000"
A_LETTER = "/dead-letters/kafka/00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    "path", ["/", "/bookings", "/dead-letters", "/workers", "/backends", A_BOOKING, A_LETTER], ids=name_of
)
def test_without_services_a_page_says_so(page: Page, site: Site, path: str) -> None:
    """As from behind a proxy that reaches nobody: no page is blank, none shows old figures as new."""
    refuse = {"code": "unreachable", "title": "The gateway cannot be reached", "status": 502}
    page.route("**/api/**", lambda route: route.fulfill(status=502, json=refuse))
    page.route("**/monitoring/**", lambda route: route.fulfill(status=502, json=refuse))
    page.goto(f"{site.url}{path}")
    expect(page.locator(".strip-status")).to_contain_text("Monitoring does not answer")
    expect(page.locator("main")).to_contain_text("cannot be reached")
    page.locator(".strip-status summary").click()
    expect(page.locator(".strip-status li")).to_contain_text("Bookings are taken and done without it")
    expect(page.locator("main")).not_to_contain_text(
        re.compile("No entry|Nothing is active|is empty|No bookings|No dead|redriven or discarded|No events")
    )
    assert not clean(page, f"{name_of(path)}-alone")
