"""Writes what the runs showed, for readers who want to know how far the promises were tried."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import psutil

from local.kafka_server import VERSION as KAFKA_VERSION
from local.redis_server import RedisMissing, find_redis
from tests.faults.checker import ENOUGH_FOR_A_P99, Limits, at_most
from tests.faults.results import Figures, Record, Run, Trial

COLUMNS = (
    "fault",
    "run",
    "backend",
    "accepted",
    "refused",
    "no answer",
    "lost",
    "twice",
    "run again: p50 / p99 / longest, s",
    "quiet after, s",
)
TRIALS = 18
ELSEWHERE = {"T17"}
LIBRARIES = ("redis", "rq", "aiokafka", "fastapi")

HEAD = """\
# What is promised while things break, and what was measured

Written by `make faults`; nothing in it is written by hand. A run that tries only some of the faults leaves the rows of
the others as they were, so each row names its run (the last table). T1 to T18 are the trials; T17, who may do what, is
tried route by route with every `make test`. Load, brokers, services and workers share one machine.

A load generator outside the system writes down, on the disk, what it sends before it sends it, and what it is told.
Afterwards a checker holds that log against the ledger, the payment provider's own database, the inbox, the rooms
and the brokers. Most bookings go to one backend, so that figures are a backend's own; where there is a row of all
three, a tenth as many go to all three at once, and whoever comes first does each step for all. Lease and heartbeat
are the shipped 15 s and 5 s.

Held in every trial, or the run fails, but where its row says "not promised": nothing that was accepted is lost; nothing
dies without a reason of its own; no booking is paid, sold or completed twice, whatever the keys of its charges; what is
confirmed is paid and mailed, what is not has its money and its rooms back; no answer takes longer than {answer:g} s,
and a refusal says when to come back; the jobs of a worker that was killed start elsewhere within {longest:g} s at most,
and within {p99:g} s as a p99, which is judged where there are {enough} or more of them; {quiet:g} s after the last
fault nothing is left to do, on any list. Nothing seen in n trials is told as at most 3/n, at 95 %.
"""


def versions(suite: str) -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    machine = f"{psutil.cpu_count()} cores ({platform.machine()})"
    if suite == "containers":
        return f"{machine}, the images of docker-compose.yml"
    try:
        redis = str(find_redis()).split(" (")[0]
    except RedisMissing:
        redis = "Redis in a container"
    return f"{machine}, Python {platform.python_version()}, {redis}, Apache Kafka {KAFKA_VERSION}, {libraries}"


def written(record: Record) -> str:
    """Markdown."""
    limits = Limits()
    head = HEAD.format(
        enough=ENOUGH_FOR_A_P99,
        answer=limits.answer,
        p99=limits.rerun_p99,
        longest=limits.rerun_max,
        quiet=limits.quiet,
    )
    numbers = {run.began: _named(number, run) for number, run in enumerate(record.runs, 1)}
    trials = sorted(record.trials, key=lambda one: (_natural(one.fault), one.run))
    lines = [
        head,
        "## Faults",
        "",
        *_table(trials, numbers),
        *_untried(record),
        "",
        "## Calls to the outside",
        "",
        *_calls(trials, numbers),
    ]
    if record.notes:
        lines += ["", "## Beside bookings", ""]
        lines += [f"* {one.fault}: {one.text} (Run {numbers[one.run]}.)" for one in record.notes]
    if record.caught:
        lines += ["", "## Does the checker see anything?", "", *_caught(record, numbers)]
    lines += ["", "## Runs", "", *_runs(record.runs)]
    return "\n".join(lines) + "\n"


def _named(number: int, run: Run) -> str:
    return f"{number}, containers" if run.suite == "containers" else str(number)


def _natural(fault: str) -> list[Any]:
    """So that T2 stands before T10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", fault)]


def _table(trials: Sequence[Trial], numbers: dict[str, str]) -> Iterator[str]:
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    for trial in trials:
        told, run = trial.fault + (f" ({trial.notes})" if trial.notes else ""), numbers[trial.run]
        for backend, figures in trial.lanes.items():
            yield f"| {told} | {run} | {backend} | {_figures(figures, _quiet(trial))} |"
            told = run = ""
        if trial.wrong:
            what = "not kept" if trial.promised else "not promised"
            yield f"| **{what}: {'; '.join(trial.wrong)}** |" + " |" * (len(COLUMNS) - 1)


def _untried(record: Record) -> Iterator[str]:
    told = [trial.fault for trial in record.trials] + [note.fault for note in record.notes]
    tried = {fault.split()[0] for fault in told}
    missing = [f"T{number}" for number in range(1, TRIALS + 1) if f"T{number}" not in tried | ELSEWHERE]
    if missing:
        yield ""
        yield f"Not tried yet: {', '.join(missing)}."


def _quiet(trial: Trial) -> str:
    if trial.quiet_after is not None:
        return f"{trial.quiet_after:.1f}"
    return "never" if "not quiet" in trial.wrong else "not asked"  # some of the load was for next year


def _figures(lane: Figures, quiet: str) -> str:
    again = " / ".join(f"{seconds:.1f}" for seconds in lane.rerun) + f" of {lane.reruns}" if lane.reruns else "-"
    cells = (
        f"{lane.accepted}",
        f"{lane.refused}",
        f"{lane.unanswered}",
        at_most(lane.lost, lane.accepted),
        at_most(lane.doubled, lane.accepted),
        again,
        quiet,
    )
    return " | ".join(cells)


def _calls(trials: Sequence[Trial], numbers: dict[str, str]) -> Iterator[str]:
    yield "What the provider and the mail server saw for a million charged bookings. More than a million are repeats,"
    yield "which the key (payment) and the Message-ID (mail) fold."
    yield ""
    yield "| fault | run | charge calls | mails |"
    yield "|---|---|---|---|"
    for trial in trials:
        yield f"| {trial.fault} | {numbers[trial.run]} | {trial.charges:,.0f} | {trial.mails:,.0f} |"


def _caught(record: Record, numbers: dict[str, str]) -> Iterator[str]:
    yield "Each of these bugs was planted on purpose, in a process of the lab alone, and had to turn the checker red."
    yield ""
    yield "| planted bug | run | seen as | such as |"
    yield "|---|---|---|---|"
    for caught in record.caught:
        yield f"| {caught.bug} | {numbers[caught.run]} | {', '.join(caught.checks)} | {caught.example} |"


def _runs(runs: Sequence[Run]) -> Iterator[str]:
    yield "| run | began (UTC) | suite | load | command | with |"
    yield "|---|---|---|---|---|---|"
    for number, run in enumerate(runs, 1):
        load = f"{run.full:g} of the full" if run.full else "short"
        yield f"| {number} | {run.began} | {run.suite} | {load} | `{run.command}` | {run.versions} |"
