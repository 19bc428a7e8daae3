"""New bookings where an answer is lost, and where whoever sent them looks at another page."""

from __future__ import annotations

import re

from playwright.sync_api import Page, Route, expect

from tests.browser.site import Site


def test_a_booking_whose_answer_was_lost_is_made_once(page: Page, site: Site) -> None:
    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/api/bookings", lose)
    page.goto(f"{site.url}/bookings/new")
    page.get_by_label("User", exact=True).fill("once")
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.get_by_text("Whether the booking was stored is not known")).to_be_visible()
    page.unroute("**/api/bookings")
    page.reload()
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page).to_have_url(re.compile(r"/bookings/[0-9a-f-]{36}$"))
    assert len(site.get("api", "/api/bookings?q=once")["items"]) == 1
    page.get_by_role("link", name="New booking").first.click()
    page.get_by_label("User", exact=True).fill("once")
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page).to_have_url(re.compile(r"/bookings/[0-9a-f-]{36}$"))
    assert len(site.get("api", "/api/bookings?q=once")["items"]) == 2


def test_a_burst_goes_on_while_another_page_is_looked_at(page: Page, site: Site) -> None:
    held: list[Route] = []
    page.route("**/api/bookings/batch", lambda route: route.continue_() if held else held.append(route))
    page.goto(f"{site.url}/bookings/new")
    page.get_by_label("Hotel").fill("left")
    page.get_by_label("Bookings", exact=True).fill("150")
    with page.expect_request("**/api/bookings/batch"):
        page.get_by_role("button", name="Book 150").click()
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="The three lanes")).to_be_visible()
    with page.expect_request("**/api/bookings/batch"):
        held[0].continue_()
    page.get_by_role("link", name="New booking").first.click()
    expect(page.get_by_text("150 of 150 accepted")).to_be_visible()
    expect(page.get_by_text("150 ended, 150 confirmed")).to_be_visible(timeout=40_000)
