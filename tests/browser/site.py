"""The pages of a running suite, in a real browser."""

from __future__ import annotations

import gzip
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import httpx
from playwright.sync_api import Locator, Page, expect

from local.node import FRONTEND, build_pages, find_node, preview_command
from local.paths import LOCAL
from local.probe import LOOPBACK, wait_until
from tests.system.suites import LocalSuite, Suite

SHOTS = LOCAL / "screenshots"
AXE = FRONTEND / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDTHS = (1440, 768, 390)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
MOST_TABS = 120
STAY = {"hotelId": "browser", "checkIn": "2027-03-01", "checkOut": "2027-03-02"}


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def served(suite: Suite) -> Iterator[str]:
    """Where the pages are: Compose serves them itself, beside processes `vite preview` does, as without Docker."""
    if not isinstance(suite, LocalSuite):
        yield suite.url("frontend")
        return
    with previewed(suite.url("api"), suite.url("monitoring"), suite.private.frontend_port) as url:
        yield url


@contextmanager
def previewed(api: str, monitoring: str, port: int) -> Iterator[str]:
    """The pages before these two services."""
    build_pages()
    url = f"http://{LOOPBACK}:{port}"
    environment = {**os.environ, "API_URL": api, "MONITORING_URL": monitoring}
    process = subprocess.Popen(
        preview_command(find_node(), port), cwd=FRONTEND, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        assert wait_until(lambda: answers(url), 20), "vite preview does not answer"
        yield url
    finally:
        process.terminate()
        process.wait(10)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


class Site:
    """What a test needs besides the page: the suite behind it."""

    def __init__(self, suite: Suite, url: str) -> None:
        self.suite = suite
        self.url = url
        self.http = httpx.Client(timeout=10)

    def post(self, service: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.http.post(f"{self.suite.url(service)}{path}", json=body)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def get(self, service: str, path: str) -> dict[str, Any]:
        answer = self.http.get(f"{self.suite.url(service)}{path}")
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def book(self, user: str, **more: Any) -> str:
        booking: str = self.post("api", "/api/bookings", {"userId": user, **STAY, **more})["bookingId"]
        return booking

    def dead_letter(self, **more: Any) -> str:
        """One that no attempt was spent on: its data fit no booking."""
        return self.dead_letters(1, **more)[0]

    def dead_letters(self, count: int, **more: Any) -> list[str]:
        body = {"type": "booking", "data": {"userId": "browser", **more}}
        letters: list[str] = [self.post("kafka-service", "/messages", body)["messageId"] for _ in range(count)]
        for letter in letters:
            path = f"{self.suite.url('api')}/api/dead-letters/kafka/{letter}"
            assert wait_until(lambda path=path: self.http.get(path).is_success, 20, every=0.2)  # type: ignore[misc]
        return letters


def tab_to(page: Page, there: Locator, key: str = "Tab") -> None:
    """As somebody without a mouse gets there: key by key, from where the focus is."""
    for _ in range(MOST_TABS):
        page.keyboard.press(key)
        if there.evaluate("each => each === document.activeElement"):
            return
    raise AssertionError(f"not reached in {MOST_TABS} steps: {there}")


def axe(page: Page) -> list[str]:
    """What it finds wrong. By evaluate, because the page itself lets no stranger's script in."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text())
    found = page.evaluate(
        "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']}).then(it => it.violations)", RULES
    )
    return [f"{each['id']}: {node['target']} {node['failureSummary']}" for each in found for node in each["nodes"]]


def sideways(page: Page) -> int:
    """How many pixels one could scroll to the side."""
    pixels: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return pixels


# Text that ends in dots, or behind the edge of what holds it, and is told in full nowhere.
CUT = """
() => [...document.querySelectorAll("body *")].filter(each => {
  const { clipPath, overflowX, textOverflow } = getComputedStyle(each);
  if (each.closest("[title]") || clipPath !== "none" || each.scrollWidth <= each.clientWidth + 1) return false;
  return textOverflow === "ellipsis" || (overflowX === "hidden" && each.textContent.trim() && each.checkVisibility());
}).map(each => each.textContent.trim())
"""


def cut(page: Page) -> list[str]:
    found: list[str] = page.evaluate(CUT)
    return found


def settled(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    expect(page.locator(".strip-status")).not_to_contain_text("Asking")


def clean(page: Page, name: str) -> list[str]:
    """Looks at the page wide and light, then narrow and dark; what is wrong with it. Leaves pictures of all looks."""
    found = []
    for width, scheme in itertools.product(WIDTHS, SCHEMES):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        if (width, scheme) in ((WIDTHS[0], "light"), (WIDTHS[-1], "dark")):
            found += [f"{name} {scheme}: {each}" for each in axe(page)]
        if (over := sideways(page)) > 0:
            found.append(f"{name} {width}: scrolls {over} px sideways")
        found += [f"{name} {width}: cut off: {each}" for each in cut(page)]
        shoot(page, f"{name}-{width}-{scheme}")
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    return found


def name_of(path: str) -> str:
    return path.strip("/").replace("/", "-") or "overview"


def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def assets(html: str) -> list[str]:
    """Paths of the scripts and styles it loads."""
    return re.findall(r'(?:src|href)="(/assets/[^"]+\.(?:js|css))"', html)


def bundle_bytes(site: Site) -> int:
    """What a browser loads of scripts and styles, as nginx sends it."""
    files = assets(site.http.get(site.url).text)
    assert files
    return sum(len(gzip.compress(site.http.get(site.url + file).content, 6)) for file in files)


def first_paint_ms(page: Page) -> float:
    shown: float = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    return shown
