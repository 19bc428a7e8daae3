"""The report tells what was kept, what was not, and what nobody promised; and of each fault the run that said so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults import report
from tests.faults.checker import Limits, judge
from tests.faults.history import Attempt, End, Event, History, Quiet, Stopped
from tests.faults.results import Caught, Record, Results, Run

AUDITS = {"b1": [Event(1, "started", "rq", "w1")]}
NEVER_AGAIN = History([Attempt("u1", "rq", booking="b1")], [], Quiet(1.0), audits=AUDITS, stopped=[Stopped(2, "w1")])
LOST = judge(NEVER_AGAIN)
FIRST = Run("2026-01-01 10:00", "processes", 0, "make faults", "Redis 1")
SECOND = replace(FIRST, began="2026-01-02 10:00", versions="Redis 2")


def failing() -> Results:
    results = Results()
    with pytest.raises(AssertionError, match="lost"):
        results.add("T2 a crash", LOST)
    return results


def test_what_was_lost_is_told_whoever_reads_it() -> None:
    results = failing()
    results.tell("T10 a fire", LOST)
    results.note("T14 the same keys", "Folded.")
    results.caught.append(Caught("no fencing", ("doubled",), "b1"))
    record = Record()
    record.add(results, FIRST)
    told = report.written(record)
    assert "not kept: lost" in told
    assert "not promised: lost" in told
    assert "| no fencing | 1 | doubled | b1 |" in told
    assert "T14 the same keys: Folded. (Run 1.)" in told
    assert told.index("T2 a crash") < told.index("T10 a fire")
    assert "Not tried yet: T1, T3, T4, T5, T6, T7, T8, T9, T11, T12, T13, T15, T16, T18." in told


def test_a_later_run_replaces_what_it_tried_and_nothing_else(tmp_path: Path) -> None:
    record, other = Record(), Results()
    record.add(failing(), FIRST)
    other.tell("T3 a flood", LOST)
    record.add(other, SECOND)
    record.write(tmp_path / "record")
    record = Record.read(tmp_path / "record")
    assert "inf / inf / inf of 1" in report.written(record)
    assert [(trial.fault, trial.run) for trial in record.trials] == [
        ("T2 a crash", FIRST.began),
        ("T3 a flood", SECOND.began),
    ]
    record.add(failing(), replace(SECOND, began="2026-01-03 10:00"))
    assert [(trial.fault, trial.run) for trial in record.trials] == [
        ("T2 a crash", "2026-01-03 10:00"),
        ("T3 a flood", SECOND.began),
    ]
    assert FIRST not in record.runs, "nothing is left of it"


def test_another_size_or_suite_is_told_beside_it() -> None:
    record = Record()
    for n, run in enumerate((FIRST, replace(FIRST, full=0.1), replace(FIRST, suite="containers"))):
        record.add(failing(), replace(run, began=f"2026-01-0{n + 1}"))
    assert len(record.trials) == len(record.runs) == 3


def test_who_was_not_asked_to_be_quiet_is_not_told_as_never() -> None:
    results = Results()
    done = replace(NEVER_AGAIN, ends=[End("b1", "u1", "rq", "completed", True)], quiet=Quiet(None), stopped=[])
    results.tell("T11 nonsense", judge(done, Limits(quiet=None)))
    results.tell("T12 noise", judge(done))
    record = Record()
    record.add(results, FIRST)
    rows = [line for line in report.written(record).splitlines() if line.startswith("| T1")]
    assert [row.split(" | ")[-1] for row in rows[:2]] == ["not asked |", "never |"]
