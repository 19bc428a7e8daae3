"""The inbox of dead letters where something is under way, or goes wrong."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Page, Route, expect

from local.probe import wait_until
from tests.browser.site import STAY, Site, clean, settled, tab_to

AWAY = {"title": "The gateway cannot be reached", "status": 503}


def test_what_is_under_way_and_what_failed_is_told(page: Page, site: Site) -> None:
    letter = site.dead_letter()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/dead-letters/redrive", hold)
    page.goto(f"{site.url}/dead-letters?q={letter}")
    page.get_by_label("Select all shown").check()
    again = page.get_by_role("button", name="Redrive selected")
    again.click()
    with page.expect_request("**/api/dead-letters/redrive"):
        page.get_by_role("button", name="Redrive", exact=True).click()
    said = page.locator(".bulk [role=status]")
    expect(said).to_have_text("Working …")
    expect(again).to_be_disabled()
    expect(page.get_by_role("button", name="Discard selected")).to_be_disabled()
    held[0].fulfill(status=503, json=AWAY)
    expect(said).to_have_text("The gateway cannot be reached")
    expect(page.locator(".bulk .note")).to_be_focused()
    page.unroute("**/api/dead-letters/redrive")
    page.get_by_role("button", name="Discard selected").click()
    page.get_by_role("button", name="Discard", exact=True).click()
    expect(said).to_have_text("1 letter discarded.")


def test_all_that_match_are_meant_once(page: Page, site: Site) -> None:
    site.dead_letters(26)
    page.goto(f"{site.url}/dead-letters?q=browser")
    page.get_by_label("Backend").select_option("kafka")
    page.get_by_label("Type").select_option("booking")
    expect(page).to_have_url(re.compile("type=booking"))
    shown, match = page.get_by_label("Select all shown"), page.get_by_role("button", name="Select all that match")
    said = page.locator(".bulk [role=status]")
    expect(page.locator("tbody tr")).to_have_count(25)
    shown.check()
    match.click()
    expect(said).to_have_text("All selected")
    page.locator("tbody input").first.uncheck()
    expect(said).to_have_text("24 selected")
    page.locator("tbody input").first.check()
    expect(said).to_have_text("25 selected")
    match.click()
    page.get_by_role("button", name="Discard selected").click()
    expect(page.get_by_role("dialog")).to_contain_text("all letters of type booking that died on Kafka with “browser”")
    with page.expect_request("**/api/dead-letters/discard") as asked:
        page.get_by_role("button", name="Discard", exact=True).click()
    assert (asked.value.post_data_json or {})["matching"] == {"backend": "kafka", "type": "booking", "q": "browser"}
    expect(said).to_have_text(re.compile(r"\d\d letters discarded"))
    expect(page.get_by_text("No dead letter matches")).to_be_visible()
    letter = site.dead_letter()
    expect(page.get_by_role("link", name=letter[:8])).to_be_visible()
    shown.check()
    expect(said).to_have_text("1 selected")


def test_a_letter_is_asked_for_again_until_the_gateway_is_back(page: Page, site: Site) -> None:
    letter = site.dead_letter()
    page.route("**/api/**", lambda route: route.fulfill(status=503, json=AWAY))
    page.goto(f"{site.url}/dead-letters/kafka/{letter}")
    expect(page.locator("main")).to_contain_text("cannot be reached")
    expect(page.locator("main")).not_to_contain_text("redriven or discarded")
    page.unroute("**/api/**")
    expect(page.locator(".letter-head")).to_contain_text("hotelId")
    page.goto(f"{site.url}/dead-letters/kafka/{letter}x")
    expect(page.locator("main")).to_contain_text("It may have been redriven or discarded meanwhile")


def test_a_number_too_large_for_a_browser_is_not_changed(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/dead-letters/kafka/{site.dead_letter(order=1234567890123456789)}")
    payload, send = page.get_by_label("Payload"), page.get_by_role("button", name="Redrive")
    expect(page.get_by_text("As it was, but for large numbers")).to_be_visible()
    before = payload.input_value()
    payload.fill(before.replace("browser", "edited"))
    expect(page.get_by_text("would be sent rounded")).to_be_visible()
    expect(send).to_be_disabled()
    payload.fill(before)
    with page.expect_request("**/redrive") as asked:
        send.click()
    assert asked.value.post_data_json == {}
    expect(page.get_by_text("Sent to Kafka")).to_be_visible()


def test_the_focus_is_on_what_a_letter_s_action_led_to(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/dead-letters/kafka/{site.dead_letter()}")
    settled(page)
    payload, send = page.get_by_label("Payload"), page.get_by_role("button", name="Redrive")
    payload.fill(json.dumps({"userId": "browser", **STAY}))
    page.route("**/redrive", lambda route: route.fulfill(status=503, json=AWAY))
    tab_to(page, send)
    page.keyboard.press("Enter")
    expect(page.get_by_text("The gateway cannot be reached")).to_be_visible()
    expect(send).to_be_focused()
    page.unroute("**/redrive")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Sent to Kafka")).to_be_focused()
    page.goto(f"{site.url}/dead-letters/kafka/{site.dead_letter()}")
    discard = page.get_by_role("button", name="Discard")
    tab_to(page, discard)
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(discard).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Discard").press("Enter")
    expect(page).to_have_url(f"{site.url}/dead-letters")
    expect(page.locator("main")).to_be_focused()


def test_the_page_of_a_booking_that_was_sent_on_says_where_it_ran(page: Page, site: Site) -> None:
    booking = site.book("moved", backends=["kafka"], simulate={"failAt": "payment", "times": 3})
    here = f"/api/dead-letters/kafka/{booking}"
    assert wait_until(lambda: site.http.get(f"{site.suite.url('api')}{here}").is_success, 40, every=0.2)
    page.goto(f"{site.url}/bookings/{booking}")
    lane = page.locator(".race .lane-kafka")
    expect(lane).to_contain_text("Dead letter: ")
    expect(page.get_by_role("link", name="Dead letter on Kafka")).to_be_visible()
    assert site.post("api", "/api/dead-letters/redrive", {"matching": {"q": booking}, "to": "rq"})["redriven"] == 1
    expect(lane).to_contain_text("Ran again on RQ")
    expect(page.get_by_role("link", name="Dead letter on Kafka")).to_have_count(0)
    expect(page.locator(".outcome .pill")).to_contain_text("confirmed")
    assert not clean(page, "booking-moved")


def test_the_page_of_a_booking_whose_backend_is_paused_says_so(page: Page, site: Site) -> None:
    limits = f"{site.suite.url('api')}/api/limits"
    assert site.http.put(limits, json={"rq": {"paused": True}}).is_success
    try:
        page.goto(f"{site.url}/bookings/{site.book('paused', backends=['rq'])}")
        expect(page.locator(".race .lane-rq")).to_contain_text("Waits: its backend is paused")
    finally:
        assert site.http.put(limits, json={"rq": {"paused": None}}).is_success
    expect(page.locator(".outcome .pill")).to_contain_text("confirmed")
