"""What was measured, as the Markdown of bench/RESULTS.md."""

from __future__ import annotations

import argparse
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

import psutil

from bench.accept import Load
from bench.drain import Drained
from bench.idle import Idle
from bench.latency import Waits
from booking_queue.domain.job import Backend

LIBRARIES = ("redis", "rq", "aiokafka", "fastapi", "uvicorn")
MIB = 1024 * 1024


@dataclass
class Measured:
    busy: list[Drained] = field(default_factory=list)
    alone: list[Drained] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)  # RQ's own SimpleWorker, jobs a second
    loads: list[Load] = field(default_factory=list)
    batches: list[Load] = field(default_factory=list)
    waits: Waits = field(default_factory=dict)
    idle: list[Idle] = field(default_factory=list)


def spread(values: Sequence[float], form: str = "{:.0f}") -> str:
    """median (least-greatest)"""
    shown = [form.format(value) for value in (statistics.median(values), min(values), max(values))]
    return f"{shown[0]} ({shown[1]}-{shown[2]})"


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def report(found: Measured, asked: argparse.Namespace) -> str:
    sections = (_head(asked), _lanes(found), _accepted(found, asked), _waits(found), _idle(found))
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _head(asked: argparse.Namespace) -> list[str]:
    return [
        "# Measured",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {psutil.cpu_count()} cores ({platform.machine()}), Python "
        f"{platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in LIBRARIES) + ".",
        "Brokers, services, worker and load share the machine. Median (least-greatest) "
        f"of {asked.runs} runs. Command: `make bench` (`python -m bench --jobs {asked.jobs} --slots {asked.slots} "
        f"--runs {asked.runs} --seconds {asked.seconds:g} --connections {asked.connections} --batch {asked.batch}`).",
    ]


def _lanes(found: Measured) -> list[str]:
    lines = [
        "One worker process, a no-op job with a booking-sized payload, every guarantee on (claim, fencing, events,",
        "audit, metrics). Round trips are calls of a Redis script that the worker made, counted by Redis itself. Bytes",
        "waiting are what Redis holds of a job before it runs: record, audit, the broker's part. The peer ran in turn",
        "with the lanes.",
        "",
        "| lane | drained, jobs/s | to the peer | round trips a job under load | of a job alone | bytes waiting |",
        "|---|---|---|---|---|---|",
    ]
    peer = statistics.median(found.peer)
    for backend in Backend:
        runs = [run for run in found.busy if run.backend is backend]
        single = next(run for run in found.alone if run.backend is backend)
        rates = [run.jobs_per_second for run in runs]
        lines.append(
            f"| {backend} | {spread(rates)} | {statistics.median(rates) / peer:.1f} times "
            f"| {spread([run.round_trips for run in runs], '{:.3f}')} | {single.round_trips:.2f} "
            f"| {statistics.median(run.memory for run in runs):.0f} |"
        )
    lines.append(f"| RQ's SimpleWorker | {spread(found.peer)} | 1 | | | |")
    return lines


def _accepted(found: Measured, asked: argparse.Namespace) -> list[str]:
    def row(name: str, loads: Sequence[Load]) -> str:
        middle, late = ([load.percentile(share) * 1000 for load in loads] for share in (0.5, 0.99))
        rates = [load.accepted_per_second for load in loads]
        return f"| {name} | {spread(rates)} | {spread(middle)} | {spread(late)} |"

    return [
        f"Bookings accepted over HTTP, each for all three backends, {asked.connections} connections; and in batches of",
        f"{asked.batch}, {asked.batch_connections} connections. p50 and p99 are a request's:",
        "",
        "| | bookings/s | p50, ms | p99, ms |",
        "|---|---|---|---|",
        row("one by one", found.loads),
        row("batches", found.batches),
    ]


def _waits(found: Measured) -> list[str]:
    lines = [
        "Ten bookings a second, one worker: from acceptance to the start of the handler, by Redis' clock:",
        "",
        "| backend | p50, ms | p99, ms |",
        "|---|---|---|",
    ]
    for backend, waits in found.waits.items():
        lines.append(f"| {backend} | {percentile(waits, 0.5):.0f} | {percentile(waits, 0.99):.0f} |")
    return lines


def _idle(found: Measured) -> list[str]:
    lines = [
        "While nothing happens (resident counts shared libraries in every process, private does not):",
        "",
        "| process | of a core, % | resident, MiB | private, MiB |",
        "|---|---|---|---|",
    ]
    for one in found.idle:
        lines.append(f"| {one.process} | {100 * one.core:.1f} | {one.resident / MIB:.0f} | {one.private / MIB:.0f} |")
    return lines
