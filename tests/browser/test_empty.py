"""Every page of a suite in which nothing has happened yet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import Site, clean, name_of, served, settled
from tests.system.suites import LocalSuite


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    suite = LocalSuite(tmp_path_factory.mktemp("empty"))
    try:
        suite.up()
        suite.scale(1)
        with served(suite) as url:
            yield Site(suite, url)
    finally:
        suite.close()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/", "0/s"),
        ("/bookings", "No bookings yet"),
        ("/bookings/new", "How many"),
        ("/dead-letters", "No dead letters: nothing has failed for good"),
        ("/workers", "Runs nothing just now."),
        ("/backends", "No entry is pending: everything delivered was acknowledged."),
    ],
)
def test_a_page_says_that_nothing_has_happened_yet(page: Page, site: Site, path: str, says: str) -> None:
    page.goto(f"{site.url}{path}")
    settled(page)
    expect(page.locator("main")).to_contain_text(says)
    expect(page.locator(".strip-status")).to_contain_text("No alarm: three backends answer, 1 worker")
    assert not clean(page, f"{name_of(path)}-empty")
