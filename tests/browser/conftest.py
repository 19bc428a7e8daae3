from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tests.brokers import missing
from tests.browser.site import Site, chromium, served
from tests.system.suites import Suite

ARGS = ["--no-sandbox", "--disable-background-networking"]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """It has a suite of its own, which is always one of processes."""
    return True if collection_path.name == "test_empty.py" and os.environ.get("SUITE") == "compose" else None


@pytest.fixture(scope="session")
def site(suite: Suite) -> Iterator[Site]:
    suite.scale(2)
    with served(suite) as url:
        yield Site(suite, url)


@pytest.fixture(scope="module")  # no longer: while Playwright is there, its event loop is the thread's
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    path = chromium()
    if path is None:
        missing("chromium on PATH")
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        folder = tmp_path_factory.mktemp("browser")
        context = playwright.chromium.launch_persistent_context(folder, executable_path=path, args=ARGS)
        yield context
        context.close()


@pytest.fixture
def page(browser: BrowserContext, site: Site) -> Iterator[Page]:
    """A page that complains of nothing: an error in the console fails the test."""
    new = browser.new_page()
    new.set_viewport_size({"width": 1440, "height": 900})
    errors: list[str] = []
    new.on("pageerror", lambda error: errors.append(str(error)))
    new.on("console", lambda message: errors.append(message.text) if _broken(message.type, message.text) else None)
    yield new
    new.close()
    assert not errors


def _broken(kind: str, text: str) -> bool:
    """Answers that are no 200 are told there too; tests that break something expect them."""
    return kind == "error" and "Failed to load resource" not in text
