"""What the pages cost a browser: first contentful paint, bundle size, and the main thread's longest task while nothing
and while 10,000 events a second happen.

`python -m tests.browser.measure` starts a suite of its own and Chromium, and writes the events where the ledger
writes them, so that they come through the gateway's event stream. Of a task both is told: the time it took (which
on a busy machine is also that of others), and the CPU time of its own. With `--trace` a folder keeps the traces.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.synchronize
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import orjson
import redis
from playwright.sync_api import Browser, Page, sync_playwright

from booking_queue.domain.job import Backend
from local.probe import wait_until
from tests.browser.conftest import ARGS
from tests.browser.site import Site, bundle_bytes, chromium, first_paint_ms, served
from tests.system.suites import LocalSuite

A_SECOND = 10_000
PORTIONS = 50  # a second
LIFE = ("queued", "started", "retrying", "completed")
PAGES = {"Overview": "/", "Jobs": "/bookings", "Workers": "/workers", "Create": "/bookings/new"}
LONG_MS = 50

# Counts what the page's own event stream brings. Frames are 100 ms apart, the parts of one come together.
LISTEN = """
window.fed = { frames: 0, bytes: 0 };
const asked = window.fetch;
window.fetch = async (url, ...more) => {
  const answer = await asked(url, ...more);
  if (String(url) !== "/api/events" || !answer.body) return answer;
  let last = 0;
  const count = new TransformStream({
    transform(part, on) {
      const now = performance.now();
      if (now - last > 60) window.fed.frames += 1;
      last = now;
      window.fed.bytes += part.length;
      on.enqueue(part);
    },
  });
  return new Response(answer.body.pipeThrough(count), answer);
};
"""


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.measure", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="seconds a measurement (default 10)")
    parser.add_argument("--trace", type=Path, help="a folder for Chromium's traces")
    return parser.parse_args(argv)


def say(text: str) -> None:
    print(text, flush=True)


def flood(port: int, password: str, stop: multiprocessing.synchronize.Event) -> None:
    """In a process of its own: A_SECOND events a second, in even portions, as jobs on all backends have them."""
    client = redis.Redis(host="127.0.0.1", port=port, password=password)
    lanes = [backend.value for backend in Backend]
    number, due = 0, time.monotonic()
    while not stop.is_set():
        pipe = client.pipeline(transaction=False)
        for _ in range(A_SECOND // PORTIONS):
            number += 1
            job = f"00000000-0000-4000-8000-{number // len(LIFE):012}"
            detail = {"jobId": job, "backend": lanes[number // len(LIFE) % 3], "at": int(time.time() * 1000)}
            event = orjson.dumps({**detail, "event": LIFE[number % len(LIFE)], "worker": "w", "attempt": 1})
            pipe.xadd("bq:events", {"event": event}, maxlen=10_000)
        pipe.execute()
        due += 1 / PORTIONS
        time.sleep(max(0.0, due - time.monotonic()))


@contextmanager
def flooded(port: int, password: str) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(target=flood, args=(port, password, stop))
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join(10)


def tasks_of(trace: bytes) -> list[tuple[float, float]]:
    """Of the page's main thread, the longest first: each task's time and its own CPU time, in ms."""
    events: list[dict[str, Any]] = json.loads(trace)["traceEvents"]
    mains = {
        (each["pid"], each["tid"])
        for each in events
        if each["name"] == "thread_name" and each["args"]["name"] == "CrRendererMain"
    }
    thread = Counter(place for each in events if (place := (each["pid"], each["tid"])) in mains).most_common(1)[0][0]
    mine = (each for each in events if (each["pid"], each["tid"]) == thread and each["name"] == "RunTask")
    return sorted(((each.get("dur", 0) / 1000, each.get("tdur", 0) / 1000) for each in mine), reverse=True)


def told(trace: bytes, seconds: float) -> str:
    tasks = tasks_of(trace)
    long = [task for task in tasks if task[0] > LONG_MS]
    cpu = sorted((own for _, own in tasks), reverse=True)
    return (
        f"longest task {tasks[0][0]:.0f} ms ({len(long)} over {LONG_MS} ms), most CPU of one {cpu[0]:.0f} ms, "
        f"{100 * sum(cpu) / 1000 / seconds:.0f} % of the thread"
    )


class Bench:
    def __init__(self, browser: Browser, url: str, seconds: float, folder: Path | None):
        self.browser = browser
        self.url = url
        self.seconds = seconds
        self.folder = folder

    def _traced(self, page: Page, name: str, seconds: float) -> str:
        page.wait_for_timeout(seconds * 1000)
        trace = self.browser.stop_tracing()
        if self.folder:
            (self.folder / f"{name}.json").write_bytes(trace)
        return told(trace, seconds)

    def loading(self, name: str) -> str:
        page = self.browser.new_page(viewport={"width": 1440, "height": 900})
        self.browser.start_tracing(page=page)
        page.goto(self.url + PAGES[name])
        found = self._traced(page, f"{name}-loading", 3)
        paint = first_paint_ms(page)
        page.close()
        return f"first contentful paint {paint:.0f} ms, {found}"

    def open(self, name: str, *, busy: bool) -> str:
        page = self.browser.new_page(viewport={"width": 1440, "height": 900})
        page.add_init_script(LISTEN)
        page.goto(self.url + PAGES[name])
        page.wait_for_timeout(3000)
        self.browser.start_tracing(page=page)
        page.wait_for_timeout(500)  # what starting it costs is not the page's
        self.browser.stop_tracing()
        self.browser.start_tracing(page=page)
        page.evaluate("fed = { frames: 0, bytes: 0, since: performance.now() }")
        found = self._traced(page, f"{name}-{'busy' if busy else 'quiet'}", self.seconds)
        fed = page.evaluate(
            "({ ...fed, seconds: (performance.now() - fed.since) / 1000 })"
        )  # ending a trace takes some
        page.close()
        stream = f"{fed['bytes'] / 1e6 / fed['seconds']:.1f} MB/s in {fed['frames'] / fed['seconds']:.1f} frames/s, "
        return (stream if fed["frames"] else "") + found


def main() -> None:
    asked = arguments()
    folder = Path(tempfile.mkdtemp(prefix="booking-queue-measure-"))
    suite = LocalSuite(folder)
    try:
        suite.up()
        suite.scale(1)
        with served(suite) as url, sync_playwright() as playwright:
            site = Site(suite, url)
            assert wait_until(lambda: bool(site.get("monitoring", "/dashboard")["workers"]["list"]), 20)
            say(f"bundle {bundle_bytes(site) / 1024:.1f} KiB gzip")
            bench = Bench(
                playwright.chromium.launch(executable_path=chromium(), args=ARGS), url, asked.seconds, asked.trace
            )
            run(bench, suite.private.redis.port, suite.private.redis.password)
            bench.browser.close()
    finally:
        suite.close()
        shutil.rmtree(folder, ignore_errors=True)


def run(bench: Bench, port: int, password: str) -> None:
    for name in PAGES:
        say(f"{name}, loading: {bench.loading(name)}")
    for busy in (False, True):
        with flooded(port, password) if busy else nullcontext():
            for name in PAGES:
                say(f"{name}, {A_SECOND if busy else 0} events/s: {bench.open(name, busy=busy)}")


if __name__ == "__main__":
    main()
