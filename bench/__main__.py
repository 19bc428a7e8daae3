"""`make bench`: what a job costs on each lane, and how fast bookings are accepted. Writes bench/RESULTS.md."""

from __future__ import annotations

import argparse
import asyncio
import platform
import shutil
import signal
import statistics
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from bench.accept import Load, load
from bench.drain import Drained, drain
from booking_queue.domain.job import Backend
from local.private_suite import PrivateSuite

RESULTS = Path(__file__).parent / "RESULTS.md"
LIBRARIES = ("redis", "rq", "aiokafka", "fastapi", "uvicorn")


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs a drain (default 10000)")
    parser.add_argument("--slots", type=int, default=100, help="jobs at a time in the one worker (default 100)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each figure (default 3)")
    parser.add_argument("--seconds", type=float, default=10, help="seconds a run of accepting (default 10)")
    parser.add_argument("--connections", type=int, default=64, help="HTTP connections (default 64)")
    parser.add_argument("--no-write", action="store_true", help="print only; leave bench/RESULTS.md alone")
    return parser.parse_args(argv)


def say(text: str) -> None:
    print(text, flush=True)


def drained(found: Drained) -> str:
    return f"{found.backend:<13} {found.jobs_per_second:>8.0f} jobs/s   {found.round_trips:.3f} round trips a job"


async def measure(suite: PrivateSuite, asked: argparse.Namespace) -> tuple[list[Drained], list[Drained], list[Load]]:
    say(f"draining {asked.jobs} no-op jobs a lane, one worker process, {asked.slots} slots, {asked.runs} runs in turn")
    busy: list[Drained] = []
    for run in range(1, asked.runs + 1):
        for backend in Backend:
            found = await drain(suite, backend, jobs=asked.jobs, slots=asked.slots)
            say(f"  {run}/{asked.runs} {drained(found)}")
            busy.append(found)
    say("draining 300 jobs a lane, one slot: what a job costs that travels alone")
    alone = []
    for backend in Backend:
        found = await drain(suite, backend, jobs=300, slots=1)
        say(f"      {drained(found)}")
        alone.append(found)
    say(f"accepting bookings for three backends: {asked.connections} connections, {asked.seconds:g} s a run")
    loads = []
    for run in range(1, asked.runs + 1):
        port = suite.ports["api_service"]
        found_load = await load("127.0.0.1", port, connections=asked.connections, seconds=asked.seconds)
        say(
            f"  {run}/{asked.runs} {found_load.accepted_per_second:>8.0f} bookings/s   "
            f"p50 {found_load.percentile(0.5) * 1000:.0f} ms   p99 {found_load.percentile(0.99) * 1000:.0f} ms   "
            f"statuses {found_load.statuses}"
        )
        loads.append(found_load)
    return busy, alone, loads


def spread(values: Sequence[float], form: str = "{:.0f}") -> str:
    """median (least-greatest)"""
    shown = [form.format(value) for value in (statistics.median(values), min(values), max(values))]
    return f"{shown[0]} ({shown[1]}-{shown[2]})"


def report(busy: Sequence[Drained], alone: Sequence[Drained], loads: Sequence[Load], asked: argparse.Namespace) -> str:
    lines = [
        "# Measured",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {psutil.cpu_count()} cores ({platform.machine()}), Python "
        f"{platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in LIBRARIES) + ".",
        "Brokers, services, worker and load share the machine. Median (least-greatest) "
        f"of {asked.runs} runs. Command: `make bench` (`python -m bench --jobs {asked.jobs} --slots {asked.slots} "
        f"--runs {asked.runs} --seconds {asked.seconds:g} --connections {asked.connections}`).",
        "",
        "One worker process, a no-op job with a booking-sized payload, every guarantee on (claim, fencing, events,",
        "audit, metrics). Round trips are calls of a Redis script that the worker made, counted by Redis itself.",
        "",
        "| lane | drained, jobs/s | round trips a job under load | round trips of a job alone |",
        "|---|---|---|---|",
    ]
    for backend in Backend:
        rates = [found for found in busy if found.backend is backend]
        single = next(found for found in alone if found.backend is backend)
        lines.append(
            f"| {backend} | {spread([found.jobs_per_second for found in rates])} "
            f"| {spread([found.round_trips for found in rates], '{:.3f}')} | {single.round_trips:.2f} |"
        )
    lines += [
        "",
        f"Bookings accepted over HTTP, each for all three backends, {asked.connections} connections:",
        "",
        "| bookings/s | p50, ms | p99, ms |",
        "|---|---|---|",
        f"| {spread([found.accepted_per_second for found in loads])} "
        f"| {spread([found.percentile(0.5) * 1000 for found in loads])} "
        f"| {spread([found.percentile(0.99) * 1000 for found in loads])} |",
    ]
    return "\n".join(lines) + "\n"


def measured(asked: argparse.Namespace) -> str:
    """The report. Nothing is left in the temporary folder, but for the logs of a failure."""
    folder = Path(tempfile.mkdtemp(prefix="booking-queue-bench-"))
    suite = PrivateSuite(folder, LOG_LEVEL="WARNING", SIMULATED_TIME_SCALE="0")
    say("starting Redis, Kafka and the services on free ports; all of it takes some minutes (--help: make it shorter)")
    keep = False
    try:
        suite.start()
        return report(*asyncio.run(measure(suite, asked)), asked)
    except KeyboardInterrupt:
        say("interrupted: stopping what was started")
        raise SystemExit(130) from None
    except Exception:
        keep = True
        say(f"failed; the logs are in {folder}")
        raise
    finally:
        suite.close()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    asked = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    text = measured(asked)
    say("\n" + text)
    if not asked.no_write:
        RESULTS.write_text(text)
        say(f"written to {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    main()
