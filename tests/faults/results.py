"""What the trials of a run showed, and the record of it beside the report, which the next run adds to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from tests.faults.checker import Lane, Verdict


@dataclass(frozen=True)
class Figures:
    """Of one backend in one trial. `rerun`: p50, p99 and the longest, in seconds, of `reruns`."""

    accepted: int
    refused: int
    unanswered: int
    lost: int
    doubled: int
    reruns: int
    rerun: tuple[float, float, float]

    @classmethod
    def of(cls, lane: Lane) -> Figures:
        return cls(
            lane.acked,
            lane.refused,
            lane.unknown,
            len(lane.lost),
            len(lane.doubled),
            len(lane.reruns),
            lane.rerun,
        )


@dataclass(frozen=True)
class Trial:
    """`fault` as a reader is told of it; `notes` are figures that only this trial has. What was not `promised` is told
    as it was found. `charges` and `mails`: calls for a million bookings that were charged."""

    fault: str
    lanes: dict[str, Figures]
    wrong: list[str]
    quiet_after: float | None
    charges: float
    mails: float
    notes: str = ""
    promised: bool = True
    run: str = ""


@dataclass(frozen=True)
class Caught:
    """A planted bug, and the checks that turned red for it."""

    bug: str
    checks: tuple[str, ...]
    example: str
    run: str = ""


@dataclass(frozen=True)
class Note:
    """Of a trial that sends no bookings for the checker to judge."""

    fault: str
    text: str
    run: str = ""


@dataclass(frozen=True)
class Run:
    """`began` names it. `full` is the share of the full load, 0 for the short one."""

    began: str
    suite: str
    full: float
    command: str
    versions: str


@dataclass
class Results:
    trials: list[Trial] = field(default_factory=list)
    caught: list[Caught] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def note(self, fault: str, text: str) -> None:
        self.notes.append(Note(fault, text))

    def add(self, fault: str, verdict: Verdict, notes: str = "") -> None:
        """Noted whatever it is, so that a report can show a promise that was not kept; then held to its promises."""
        self.trials.append(_trial(fault, verdict, notes, promised=True))
        assert not verdict.wrong, f"{fault}\n{verdict}"

    def tell(self, fault: str, verdict: Verdict, notes: str = "") -> None:
        """Of what nobody promised."""
        self.trials.append(_trial(fault, verdict, notes, promised=False))


def _trial(fault: str, verdict: Verdict, notes: str, *, promised: bool) -> Trial:
    lanes = {backend: Figures.of(lane) for backend, lane in sorted(verdict.lanes.items())}
    return Trial(
        fault, lanes, list(verdict.wrong), verdict.quiet_after, verdict.raw_charges, verdict.raw_mails, notes, promised
    )


@dataclass
class Record:
    """The last word of each run, suite and size about each fault: a run that tried less leaves the rest as it was."""

    runs: list[Run] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    caught: list[Caught] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Record:
        told = orjson.loads(path.read_bytes()) if path.exists() else {}
        return cls(
            [Run(**one) for one in told.get("runs", [])],
            [_read_trial(one) for one in told.get("trials", [])],
            [Caught(**one | {"checks": tuple(one["checks"])}) for one in told.get("caught", [])],
            [Note(**one) for one in told.get("notes", [])],
        )

    def write(self, path: Path) -> None:
        path.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2) + b"\n")

    def add(self, results: Results, run: Run) -> None:
        """What `run` says of a fault takes the place of what one of the same suite and size said before."""
        self.runs.append(run)
        kinds = {one.began: (one.suite, one.full > 0) for one in self.runs}
        self.trials = _merged(self.trials, results.trials, run, lambda one: (one.fault, kinds[one.run]))
        self.notes = _merged(self.notes, results.notes, run, lambda one: (one.fault, kinds[one.run]))
        self.caught = _merged(self.caught, results.caught, run, lambda one: one.bug)
        told = {one.run for one in self.trials} | {one.run for one in self.notes} | {one.run for one in self.caught}
        self.runs = [one for one in self.runs if one.began in told]


def _merged(old: Sequence[Any], new: Sequence[Any], run: Run, key: Callable[[Any], Any]) -> list[Any]:
    said = [replace(one, run=run.began) for one in new]
    found = {key(one): one for one in (*old, *said)}
    return [found[name] for name in sorted(found, key=str)]


def _read_trial(told: dict[str, Any]) -> Trial:
    lanes = {}
    for name, one in told["lanes"].items():
        rerun = [math.inf if seconds is None else seconds for seconds in one["rerun"]]  # JSON has no infinity
        lanes[name] = Figures(**one | {"rerun": tuple(rerun)})
    return Trial(**told | {"lanes": lanes})
