"""Whoever acts by keyboard stays where they are: what they pressed keeps the focus, though it can do no more."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.site import Site, settled, tab_to


def test_one_that_was_cancelled_is_not_left(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/bookings/{site.book('regret', delaySeconds=3600)}")
    expect(page.locator(".outcome .pill")).to_contain_text("accepted")
    cancel = page.get_by_role("button", name="Cancel", exact=True)
    tab_to(page, cancel)
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Cancel it"))
    page.keyboard.press("Enter")
    expect(page.locator(".outcome .pill")).to_contain_text("cancelled")
    expect(cancel).to_be_disabled()
    expect(cancel).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_many_that_were_cancelled_are_not_left(page: Page, site: Site) -> None:
    for _ in range(2):
        site.book("regrets", delaySeconds=3600)
    page.goto(f"{site.url}/bookings?q=regrets")
    page.get_by_label("Select all shown").check()
    cancel = page.get_by_role("button", name="Cancel selected")
    tab_to(page, cancel, "Shift+Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # no, keep them
    expect(cancel).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Cancel them"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 bookings cancelled")).to_be_visible()
    expect(page.locator(".bulk .note")).to_be_focused()


def test_a_page_turned_is_not_left(page: Page, site: Site) -> None:
    for _ in range(26):
        site.book("leaf", delaySeconds=3600, backends=["rq"])
    page.goto(f"{site.url}/bookings?q=leaf")
    expect(page.locator("tbody tr")).to_have_count(25)
    older, newest = page.get_by_role("button", name="Older"), page.get_by_role("button", name="Newest")
    tab_to(page, older)
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(older).to_be_disabled()
    expect(older).to_be_focused()
    tab_to(page, newest, "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(25)
    expect(newest).to_be_disabled()
    expect(newest).to_be_focused()


def test_newer_ones_are_shown_and_the_button_is_not_left(page: Page, site: Site) -> None:
    site.book("newer", delaySeconds=3600)
    page.goto(f"{site.url}/bookings?q=newer")
    page.get_by_label("Select all shown").check()
    site.book("newer", delaySeconds=3600)
    show = page.get_by_role("button", name="newer: show")
    expect(show).to_contain_text("1 newer")
    tab_to(page, show, "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(show).to_be_focused()


def test_a_backend_paused_is_not_left(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/backends")
    settled(page)
    tab_to(page, page.get_by_role("button", name="Pause RQ"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Resume RQ")).to_be_focused()
    expect(page.get_by_role("button", name="Resume RQ")).to_be_enabled()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pause RQ")).to_be_focused()
