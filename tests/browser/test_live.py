"""What the pages hear of as it happens: also after nobody looked, and where the connection breaks."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, Route, expect

from local.probe import wait_until
from tests.browser.site import Site

HIDE = """
hidden => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}
"""


def send_twenty(page: Page, site: Site, hotel: str) -> Callable[[], bool]:
    """On RQ alone; answers whether all of them are confirmed, by the gateway."""
    page.goto(f"{site.url}/bookings/new")
    page.get_by_label("Hotel").fill(hotel)
    for lane in ("Redis Streams", "Kafka"):
        page.get_by_label(lane).uncheck()
    page.get_by_role("button", name="20", exact=True).click()
    page.get_by_role("button", name="Book 20").click()
    expect(page.get_by_text("20 of 20 accepted")).to_be_visible()
    confirmed = f"/api/bookings?q={hotel}&state=confirmed&limit=100"
    return lambda: len(site.get("api", confirmed)["items"]) == 20


def pause(site: Site, *, paused: bool) -> None:
    assert site.http.put(f"{site.suite.url('api')}/api/limits", json={"rq": {"paused": paused}}).is_success


def test_a_burst_is_counted_to_its_end_though_nobody_looked(page: Page, site: Site) -> None:
    pause(site, paused=True)
    try:
        done = send_twenty(page, site, "unseen")
        expect(page.get_by_text("0 ended")).to_be_visible()
        page.evaluate(HIDE, True)
    finally:
        pause(site, paused=False)
    assert wait_until(done, 30, every=0.2)
    page.evaluate(HIDE, False)
    expect(page.get_by_text("20 ended, 20 confirmed")).to_be_visible()


def test_what_was_not_heard_of_a_burst_is_asked_for(page: Page, site: Site) -> None:
    page.route("**/api/events", lambda route: route.abort())
    assert wait_until(send_twenty(page, site, "unheard"), 30, every=0.2)
    expect(page.get_by_text("0 ended")).to_be_visible()
    page.unroute("**/api/events")
    expect(page.get_by_text("20 ended, 20 confirmed")).to_be_visible()


def first_event(site: Site, path: str, last: str = "") -> tuple[str, str]:
    """What the stream begins with, through the server of the pages, and its id."""
    text = ""
    headers = {"Last-Event-ID": last} if last else {}
    with site.http.stream("GET", f"{site.url}{path}", headers=headers) as answer:
        for part in answer.iter_text():
            text += part
            for whole in text.split("\n\n")[:-1]:
                for line in whole.splitlines():
                    if line.startswith("id: "):
                        return f"{whole}\n\n", line.removeprefix("id: ")
    raise AssertionError(f"no event: {text}")


def test_a_stream_that_breaks_is_taken_up_where_it_broke_off(page: Page, site: Site) -> None:
    booking = site.book("resumed", delaySeconds=3600, backends=["rq"])
    path = f"/api/bookings/{booking}/events"
    event, at = first_event(site, path)
    assert first_event(site, path, at)[1] != at, "the server of the pages does not hand the header on"
    asked: list[str | None] = []

    def broken(route: Route) -> None:
        asked.append(route.request.headers.get("last-event-id"))
        if len(asked) == 1:
            route.fulfill(status=200, content_type="text/event-stream", body=event)
        else:
            route.continue_()

    page.route(f"**{path}", broken)
    page.goto(f"{site.url}/bookings/{booking}")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    expect(page.locator(".timeline")).to_contain_text("rq", ignore_case=True)
    site.http.delete(f"{site.suite.url('api')}/api/bookings/{booking}")
    expect(page.locator(".timeline")).to_contain_text("cancelled", ignore_case=True)
    assert asked[:2] == [None, at]
