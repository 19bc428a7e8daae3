"""The report tells what was kept, what was not, and what nobody promised."""

from __future__ import annotations

import pytest

from tests.faults import report
from tests.faults.checker import judge
from tests.faults.history import Attempt, History, Quiet
from tests.faults.results import Caught, Results

LOST = judge(History([Attempt("u1", "rq", booking="b1")], [], Quiet(1.0)))


def test_what_was_lost_is_told_whoever_reads_it() -> None:
    results = Results()
    with pytest.raises(AssertionError, match="lost"):
        results.add("a crash", LOST)
    results.tell("a fire", LOST)
    results.caught.append(Caught("no fencing", ("doubled",), "b1"))
    told = report.written(results, "make faults")
    assert "not kept: lost" in told
    assert "not promised: lost" in told
    assert "| no fencing | doubled |" in told
    assert "Written by `make faults`" in told
