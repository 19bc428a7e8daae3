"""What people do on the pages, done in a browser against the whole running suite."""

from __future__ import annotations

import json
import re
import shlex
import subprocess

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from local.probe import wait_until
from tests.browser.site import STAY, Site, bundle_bytes, clean, first_paint_ms, name_of, settled, tab_to

PAGES = ["/", "/bookings", "/bookings/new", "/dead-letters", "/workers", "/backends"]
MOST_BYTES = 150 * 1024


def test_the_page_is_light(page: Page, site: Site) -> None:
    page.goto(site.url)
    settled(page)
    size = bundle_bytes(site)
    print(f"bundle {size / 1024:.1f} KiB gzip, first contentful paint {first_paint_ms(page):.0f} ms")
    assert size <= MOST_BYTES


def test_nothing_foreign_may_run(site: Site) -> None:
    policy = site.http.get(site.url).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_pages_come_by_any_name_and_what_they_show_by_the_suites_own(site: Site) -> None:
    for name, status in (("queues", 200), ("elsewhere.example", 421)):
        headers = {"host": name}
        assert site.http.get(site.url, headers=headers).status_code == 200
        for path in ("/api/bookings", "/monitoring/dashboard"):
            assert site.http.get(f"{site.url}{path}", headers=headers).status_code == status


def test_a_booking_is_made_and_watched_until_its_pdf_opens(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/bookings/new")
    page.get_by_label("User", exact=True).fill("")
    page.get_by_label("Hotel").focus()
    expect(page.get_by_text("Required", exact=True)).to_be_visible()
    page.get_by_label("User", exact=True).fill("watcher")
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page).to_have_url(re.compile(r"/bookings/[0-9a-f-]{36}$"))
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    expect(page.locator(".outcome .pill")).to_contain_text("confirmed")
    expect(page.locator(".lane .pill.good")).to_have_count(3)
    link = page.get_by_role("link", name="Open the PDF").get_attribute("href")
    assert page.request.get(f"{site.url}{link}").body().startswith(b"%PDF")
    expect(page.locator(".booked")).to_contain_text("watcher")
    page.get_by_text("Raw JSON").click()
    expect(page.locator(".raw pre")).to_contain_text('"userId": "watcher"')
    assert not clean(page, "booking")


def test_what_the_button_sends_can_be_sent_by_curl(page: Page, site: Site) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{site.url}/bookings/new")
    page.get_by_label("User", exact=True).fill("o'hara")
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    words = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    answer = subprocess.run(words, capture_output=True, check=True, timeout=20).stdout
    assert site.get("api", f"/api/bookings/{json.loads(answer)['bookingId']}")["userId"] == "o'hara"
    page.get_by_label("Hotel").fill("")
    page.get_by_label("User", exact=True).focus()
    expect(page.get_by_role("button", name="Copy as curl")).to_be_disabled()


def test_a_burst_is_sent_and_found_again(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/bookings/new")
    page.get_by_label("Hotel").fill("burst")
    page.get_by_role("button", name="200", exact=True).click()
    page.get_by_label("Each runs").select_option("turns")
    page.get_by_role("button", name="Book 200").click()
    expect(page.get_by_text("200 of 200 accepted")).to_be_visible()
    expect(page.get_by_text("200 ended, 200 confirmed")).to_be_visible(timeout=40_000)
    page.get_by_label("Bookings", exact=True).fill("2")
    page.get_by_role("button", name="Book 2", exact=True).click()
    expect(page.get_by_text("2 of 2 accepted")).to_be_visible()
    page.get_by_role("link", name="See them among the jobs").click()
    rows = page.locator("tbody .row-link")
    expect(rows).to_have_count(25)
    first = rows.first.text_content()
    page.get_by_role("button", name="Older").click()
    expect(rows.first).not_to_have_text(first or "")
    second = rows.first.text_content()
    page.reload()
    expect(rows.first).to_have_text(second or "")
    assert "cursor=" in page.url and "q=burst" in page.url
    page.get_by_role("button", name="Newer").click()
    expect(rows.first).to_have_text(first or "")
    page.get_by_label("Backend").select_option("kafka")
    expect(page.locator("tbody .leg.lane-kafka")).to_have_count(25)


def test_the_lanes_are_seen_at_work(page: Page, site: Site) -> None:
    page.goto(site.url)
    settled(page)
    lanes = ("rq", "redisStreams", "kafka")
    bookings = [
        {"userId": f"busy-{number}", **STAY, "backends": [lanes[number % 3]], "simulate": {"slowMs": 2000}}
        for number in range(90)
    ]
    site.post("api", "/api/bookings/batch", {"bookings": bookings})
    for lane in lanes:
        expect(page.locator(f".lane-card.lane-{lane} .running .figure")).not_to_have_text("0")
    for lane, lag in (("rq", "no log"), ("redisStreams", re.compile(r"\d")), ("kafka", re.compile(r"\d"))):
        facts = page.locator(f".lane-card.lane-{lane} .lane-facts")
        expect(facts.locator("div").filter(has_text="Lag").locator("dd")).to_have_text(lag)
    assert not clean(page, "overview-busy")
    page.get_by_role("link", name="running", exact=True).click()
    expect(page.locator(".runs").first).to_contain_text("more")
    assert not clean(page, "workers-busy")
    page.get_by_role("link", name="Backends").click()
    expect(page.get_by_text("The first ten that are active")).to_be_visible()
    expect(page.locator(".broker.lane-redisStreams tbody")).to_have_count(3)
    expect(page.get_by_role("region", name="Consumers of the group").locator("tbody tr")).not_to_have_count(0)
    for lane in ("redisStreams", "kafka"):
        figures = page.locator(f".broker.lane-{lane} .broker-figures")
        expect(figures).to_contain_text(re.compile(r"lag\d.*group.*booking-workers"))
    assert not clean(page, "backends-busy")


def test_what_is_no_booking_has_no_page_to_go_to(page: Page, site: Site) -> None:
    job = site.post("queue", "/jobs/delayed", {"type": "noop", "data": {}, "delay": 600_000})["jobId"]
    page.goto(f"{site.url}/backends")
    page.get_by_role("button", name="delayed").click()
    row = page.locator(".broker.lane-rq tbody tr").filter(has_text=job[:8])
    expect(row).to_contain_text("noop")
    expect(row.get_by_role("link")).to_have_count(0)


def test_a_dead_letter_is_edited_and_redriven_to_another_backend(page: Page, site: Site) -> None:
    letter = site.dead_letter()
    page.goto(f"{site.url}/dead-letters?q={letter}")
    page.locator("tbody .row-link").click()
    expect(page.locator(".letter-head")).to_contain_text("hotelId")
    payload = page.get_by_label("Payload")
    payload.fill("{")
    expect(page.get_by_text("Not JSON")).to_be_visible()
    expect(page.get_by_role("button", name="Redrive")).to_be_disabled()
    payload.fill(json.dumps({"userId": "browser", **STAY}))
    expect(page.locator(".diff .new").filter(has_text="hotelId")).to_be_visible()
    assert not clean(page, "dead-letter")
    page.get_by_label("To", exact=True).select_option("rq")
    page.get_by_role("button", name="Redrive").click()
    expect(page.get_by_text("Sent to RQ")).to_be_visible()
    assert wait_until(lambda: site.get("queue", f"/jobs/{letter}")["state"] == "completed", 20, every=0.2)
    page.get_by_role("link", name="Back to the inbox").click()
    expect(page).to_have_url(f"{site.url}/dead-letters")
    expect(page.get_by_text(letter[:8])).to_have_count(0)


def test_dead_letters_that_match_are_discarded_together(page: Page, site: Site) -> None:
    letters = [site.dead_letter() for _ in range(3)]
    page.goto(f"{site.url}/dead-letters?backend=kafka")
    expect(page.get_by_role("link", name=letters[0][:8])).to_be_visible()
    assert not clean(page, "dead-letters-busy")
    page.get_by_label("Redrive to").select_option("rq")
    page.get_by_label("Select all shown").check()
    page.get_by_role("button", name="Discard selected").click()
    page.get_by_role("button", name="Discard", exact=True).click()
    expect(page.get_by_text(re.compile("letters? discarded"))).to_be_visible()
    expect(page.get_by_text("No dead letter matches")).to_be_visible()
    expect(page.locator(".bulk .note")).to_be_focused()


def test_many_are_cancelled_after_one_question(page: Page, site: Site) -> None:
    for _ in range(3):
        site.book("late", delaySeconds=3600)
    page.goto(f"{site.url}/bookings?q=late")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_label("Select all shown").check()
    page.get_by_role("button", name="Cancel selected").click()
    page.get_by_role("button", name="Cancel them").click()
    expect(page.get_by_text("3 bookings cancelled")).to_be_visible()
    expect(page.locator("tbody .pill").filter(has_text="cancelled")).to_have_count(3)


def test_what_died_is_sent_again_from_the_list(page: Page, site: Site) -> None:
    """A payment that fails as often as there are attempts; simulated faults are over when it is sent again."""
    fault = {"failAt": "payment", "times": 3}
    booking = site.book("phoenix", backends=["rq"], simulate=fault)
    state = f"/api/bookings/{booking}"
    assert wait_until(lambda: site.get("api", state)["compensation"] is not None, 30, every=0.2)
    page.goto(f"{site.url}/bookings/{booking}")
    expect(page.locator(".outcome .pill")).to_contain_text("failed")
    expect(page.get_by_role("link", name="Dead letter on RQ")).to_be_visible()
    assert not clean(page, "booking-failed")
    page.goto(f"{site.url}/bookings?q=phoenix")
    page.get_by_label(re.compile("^Select booking")).check()
    expect(page.get_by_text("1 can be retried")).to_be_visible()
    away = {"title": "The gateway cannot be reached", "status": 503}
    page.route("**/api/dead-letters/redrive", lambda route: route.fulfill(status=503, json=away))
    for said in ("The gateway cannot be reached", "1 lane sent again"):  # what failed is still chosen
        page.get_by_role("button", name="Retry selected").click()
        page.get_by_role("button", name="Retry them").click()
        expect(page.locator(".bulk [role=status]")).to_contain_text(said)
        page.unroute("**/api/dead-letters/redrive")
    expect(page.locator("tbody .pill")).to_contain_text("confirmed")


def test_two_browsers_see_the_same(page: Page, site: Site, browser: BrowserContext) -> None:
    other = browser.new_page()
    booking = site.book("shared", delaySeconds=3600)
    for each in (page, other):
        each.goto(f"{site.url}/bookings?q=shared")
        expect(each.locator("tbody .pill")).to_contain_text("accepted")
    other.goto(f"{site.url}/bookings/{booking}")
    page.get_by_label("Select all shown").check()
    page.get_by_role("button", name="Cancel selected").click()
    page.get_by_role("button", name="Cancel them").click()
    expect(other.locator(".outcome .pill")).to_contain_text("cancelled")
    other.goto(f"{site.url}/backends")
    page.goto(f"{site.url}/backends")
    other.get_by_role("button", name="Pause RQ").click()
    page.get_by_role("button", name="Resume RQ").click()
    expect(other.get_by_role("button", name="Pause RQ")).to_be_visible()
    other.close()


def test_the_keyboard_is_enough(page: Page, site: Site) -> None:
    booking = site.book("typist")
    page.goto(f"{site.url}/")
    settled(page)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    tab_to(page, page.get_by_role("link", name="Jobs"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Find")).to_be_focused()
    page.keyboard.type("typist")
    expect(page.locator("tbody tr")).to_have_count(1)
    tab_to(page, page.get_by_label("Select all shown"))
    page.keyboard.press("j")
    expect(page.locator("tbody .row-link")).to_be_focused()
    page.keyboard.press("x")
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site.url}/bookings/{booking}")


def test_a_backend_is_paused_and_resumed(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/backends")
    page.get_by_role("button", name="Pause Redis Streams").click()
    expect(page.get_by_text("paused", exact=True)).to_be_visible()
    booking = site.book("patient", backends=["redisStreams"])
    page.get_by_role("button", name="Resume Redis Streams").click()
    expect(page.get_by_role("button", name="Pause Redis Streams")).to_be_visible()
    page.goto(f"{site.url}/bookings/{booking}")
    expect(page.locator(".outcome .pill")).to_contain_text("confirmed")


@pytest.mark.parametrize(("path", "query"), [("/", "window=86400"), ("/backends", "registry=failed")])
def test_a_choice_is_in_the_address(page: Page, site: Site, path: str, query: str) -> None:
    choice = page.get_by_role("button", name=re.compile("24 h|failed"))
    page.goto(f"{site.url}{path}")
    choice.click()
    expect(page).to_have_url(f"{site.url}{path}?{query}")
    page.reload()
    settled(page)
    expect(choice).to_have_attribute("aria-pressed", "true")
    assert not clean(page, f"{name_of(path)}-chosen")


@pytest.mark.parametrize("path", PAGES)
def test_anybody_can_read_it_at_any_width(page: Page, site: Site, path: str) -> None:
    page.goto(f"{site.url}{path}")
    settled(page)
    assert not clean(page, name_of(path))
