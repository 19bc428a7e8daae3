"""The list of jobs when there are a hundred thousand of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.crowd import crowd
from tests.browser.site import Site, clean, settled, tab_to

MANY = 100_000
# What a screen reader is given to say of what is done to them.
HEAR = """
window.heard = [];
const status = document.querySelector(".bulk [role=status]");
new MutationObserver(() => heard.at(-1) !== status.textContent && heard.push(status.textContent))
  .observe(status, { childList: true, characterData: true, subtree: true });
"""


@pytest.fixture(scope="module")
def ids(site: Site) -> Iterator[list[str]]:
    with crowd(site, MANY) as made:
        yield made


def test_a_hundred_thousand_jobs_are_paged_searched_and_filtered(page: Page, site: Site, ids: list[str]) -> None:
    page.goto(f"{site.url}/bookings?q=crowd")
    settled(page)
    rows = page.locator("tbody .row-link")
    expect(rows).to_have_count(25)
    for turn in range(1, 4):
        page.get_by_role("button", name="Older").click()
        expect(rows.first).to_have_text(ids[-25 * turn][:8])  # one of a page is the pattern they were copied from
    page.get_by_role("button", name="Newest").click()
    expect(rows.nth(1)).to_have_text(ids[-1][:8])
    page.get_by_label("Find").fill(ids[0])
    expect(rows).to_have_count(1)
    expect(rows.first).to_have_text(ids[0][:8])
    page.get_by_label("Find").fill("crowd")
    page.get_by_label("State").select_option("completed")
    expect(page.get_by_text("None among the newest 8,000")).to_be_visible()
    page.get_by_role("button", name="Look further").click()
    expect(page.get_by_text("None among the next 8,000")).to_be_visible()


def test_many_of_them_are_cancelled_by_keyboard(page: Page, site: Site, ids: list[str]) -> None:
    page.goto(f"{site.url}/bookings?q=crowd")
    settled(page)
    tab_to(page, page.get_by_role("button", name="Older"))
    page.keyboard.press("Enter")
    rows = page.locator("tbody .row-link")
    expect(rows.first).to_have_text(ids[-25][:8])
    tab_to(page, page.get_by_label("Select all shown"), "Shift+Tab")
    page.keyboard.press("Space")
    tab_to(page, page.get_by_role("button", name="Cancel selected"), "Shift+Tab")
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Cancel them"))
    page.evaluate(HEAR)
    page.keyboard.press("Enter")
    expect(page.get_by_text("25 bookings cancelled")).to_be_visible()
    assert page.evaluate("heard") == ["Working …", "25 bookings cancelled."]
    expect(page.locator(".bulk .note")).to_be_focused()
    expect(page.locator("tbody .pill").filter(has_text="cancelled")).to_have_count(25)


def test_all_that_match_are_cancelled_from_the_list(page: Page, site: Site, ids: list[str]) -> None:
    for _ in range(30):
        site.book("sweep", backends=["rq"], delaySeconds=3600)
    page.goto(f"{site.url}/bookings?q=sweep&state=delayed")
    expect(page.locator("tbody tr")).to_have_count(25)
    page.get_by_label("Select all shown").check()
    page.get_by_role("button", name="Select all that match").click()
    expect(page.get_by_text("All selected")).to_be_visible()
    assert not clean(page, "bookings-all")
    page.get_by_role("button", name="Cancel selected").click()
    expect(page.get_by_role("dialog")).to_contain_text("Cancel all bookings that are delayed with “sweep”?")
    page.get_by_role("button", name="Cancel them").click()
    expect(page.get_by_text("30 bookings cancelled")).to_be_visible()
    expect(page.get_by_text("No booking matches")).to_be_visible()
