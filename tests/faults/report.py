"""Writes what a run showed, for readers who want to know how far the promises were tried."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version

import psutil

from local.kafka_server import VERSION as KAFKA_VERSION
from local.redis_server import RedisMissing, find_redis
from tests.faults.checker import Lane, Limits, Verdict, at_most
from tests.faults.results import Results, Trial

COLUMNS = (
    "fault",
    "backend",
    "accepted",
    "refused",
    "no answer",
    "lost",
    "twice",
    "run again: p50 / p99 / longest, s",
    "quiet after, s",
)
LIBRARIES = ("redis", "rq", "aiokafka", "fastapi")

HEAD = """\
# What is promised while things break, and what was measured

Written by `{command}`; nothing in it is written by hand.

{date}, {cores} cores ({machine}), Python {python}, {redis}, Apache Kafka {kafka}, {libraries}.
Load, brokers, services and workers share that machine.

A load generator outside the system writes down, on the disk, what it sends before it sends it, and what it is told.
Afterwards a checker holds that log against the ledger, the payment provider's own database, the rooms and the brokers.
Each booking goes to one backend, so that figures are a backend's own. Lease and heartbeat are the shipped
15 s and 5 s.

Held in every trial, or the run fails: nothing that was accepted is lost; nothing dies without a reason of its own; no
charge, sale or completion twice; no room oversold; no answer takes longer than {answer:g} s; the jobs of a worker that
was killed start elsewhere within {p99:g} s (p99), {longest:g} s at most; {quiet:g} s after the last fault nothing is
left to do, on any list. Nothing seen in n trials is told as at most 3/n, at 95 %.
"""


def written(results: Results, command: str) -> str:
    """Markdown. `command` is what makes it again."""
    lines = [
        _head(command),
        "## Faults",
        "",
        *_table(results.trials),
        "",
        "## Calls to the outside",
        "",
        *_calls(results),
    ]
    if results.notes:
        lines += ["", "## Load", "", *results.notes]
    if results.caught:
        lines += ["", "## Does the checker see anything?", "", *_caught(results)]
    return "\n".join(lines) + "\n"


def _head(command: str) -> str:
    limits = Limits()
    try:
        redis = str(find_redis()).split(" (")[0]
    except RedisMissing:
        redis = "Redis in a container"
    return HEAD.format(
        command=command,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        cores=psutil.cpu_count(),
        machine=platform.machine(),
        python=platform.python_version(),
        redis=redis,
        kafka=KAFKA_VERSION,
        libraries=", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        answer=limits.answer,
        p99=limits.rerun_p99,
        longest=limits.rerun_max,
        quiet=limits.quiet,
    )


def _table(trials: list[Trial]) -> Iterator[str]:
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    for trial in trials:
        told = trial.fault + (f" ({trial.notes})" if trial.notes else "")
        for backend, lane in sorted(trial.verdict.lanes.items()):
            yield f"| {told} | {backend} | {_figures(lane, trial.verdict)} |"
            told = ""
        if trial.verdict.wrong:
            what = "not kept" if trial.promised else "not promised"
            yield f"| **{what}: {'; '.join(trial.verdict.wrong)}** | | | | | | | | |"


def _figures(lane: Lane, verdict: Verdict) -> str:
    again = " / ".join(f"{seconds:.1f}" for seconds in lane.rerun) + f" of {len(lane.reruns)}" if lane.reruns else "-"
    quiet = "never" if verdict.quiet_after is None else f"{verdict.quiet_after:.1f}"
    cells = (
        f"{lane.acked}",
        f"{lane.refused}",
        f"{lane.unknown}",
        at_most(len(lane.lost), lane.acked),
        at_most(len(lane.doubled), lane.acked),
        again,
        quiet,
    )
    return " | ".join(cells)


def _calls(results: Results) -> Iterator[str]:
    yield "What the provider and the mail server saw for a million charged bookings. More than a million are repeats,"
    yield "which the key (payment) and the Message-ID (mail) fold."
    yield ""
    yield "| fault | charge calls | mails |"
    yield "|---|---|---|"
    for trial in results.trials:
        yield f"| {trial.fault} | {trial.verdict.raw_charges:,.0f} | {trial.verdict.raw_mails:,.0f} |"


def _caught(results: Results) -> Iterator[str]:
    yield "Each of these bugs was planted on purpose, in a process of the lab alone, and had to turn the checker red."
    yield ""
    yield "| planted bug | seen as |"
    yield "|---|---|"
    for caught in sorted(results.caught, key=lambda one: one.bug):
        yield f"| {caught.bug} | {', '.join(caught.checks)} |"
