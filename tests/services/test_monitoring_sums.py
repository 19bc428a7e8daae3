"""The arithmetic of the monitoring service: histograms, totals over workers, rates and history."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from booking_queue.domain.job import Backend
from monitoring_service import totals
from monitoring_service.history import History, Moment
from monitoring_service.sources import WorkerStats
from monitoring_service.totals import NOTHING, Histogram, Totals

INF = float("inf")
BEFORE = 0  # all workers of these tests started after it


def histogram(*counts: int, total: float = 0.0) -> Histogram:
    return Histogram((0.1, 1.0, INF), counts, total)


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ((0, 0, 0), 0.5, None),
        ((10, 10, 10), 0.5, 0.05),
        ((10, 10, 10), 1.0, 0.1),
        ((0, 10, 10), 0.5, 0.55),
        ((5, 10, 10), 0.75, 0.55),
        ((0, 0, 10), 0.99, 1.0),  # beyond what is measured: the last bound that is
    ],
)
def test_quantiles_are_taken_within_the_bucket(counts: tuple[int, ...], share: float, expected: float | None) -> None:
    found = histogram(*counts).quantile(share)
    assert found == (expected if expected is None else pytest.approx(expected))


def test_histograms_add_and_subtract() -> None:
    both = histogram(1, 2, 3, total=5).plus(histogram(1, 1, 1, total=0.1))
    assert both == histogram(2, 3, 4, total=5.1)
    assert both.minus(histogram(1, 1, 1, total=0.1)).counts == (1, 2, 3)
    assert both.plus(Histogram()) == both
    assert Histogram().plus(both) == both
    assert both.mean == pytest.approx(5.1 / 4)
    assert Histogram().mean is None


def test_other_bounds_are_not_added_blindly() -> None:
    other = Histogram((0.5, INF), (1, 1), 1.0)
    assert histogram(1, 2, 3).plus(other) == histogram(1, 2, 3)


def worker(name: str, completed: int, started: str = "2026-01-01T00:00:00Z") -> WorkerStats:
    buckets = {"buckets": [0.1, 1.0, None], "counts": [0, completed, completed], "sum": completed / 2}
    return WorkerStats.model_validate(
        {
            "workerId": name,
            "startedAt": started,
            "running": {"rq": 1},
            "capacity": {"rq": 4},
            "processed": {"rq": completed},
            "failed": {"rq": 0},
            "sla": {"booking": {"inTime": completed - 1, "total": completed}},
            "histograms": {"wait": {"rq": buckets}, "run": {"rq": buckets}},
            "memoryBytes": 1,
            "cpuPercent": 0.5,
        }
    )


def test_what_a_worker_did_is_counted_once_and_stays_when_it_leaves() -> None:
    totals = Totals(BEFORE)
    totals.add([worker("a", 10), worker("b", 5)])
    totals.add([worker("a", 12), worker("b", 5)])
    assert totals.work.run[Backend.RQ].count == 17
    totals.add([worker("b", 6)])
    assert totals.work.run[Backend.RQ].count == 18
    assert totals.work.sla == {"booking": (16, 18)}


def test_a_worker_that_starts_anew_under_its_name_counts_from_nothing() -> None:
    totals = Totals(BEFORE)
    totals.add([worker("a", 10)])
    totals.add([worker("a", 3, started="2026-01-01T00:01:00Z")])
    assert totals.work.run[Backend.RQ].count == 13


def test_what_was_done_before_we_looked_on_is_no_recent_work() -> None:
    noon = int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp() * 1000)
    totals = Totals(since=noon)
    old, new = worker("old", 10), worker("new", 3, started="2026-01-01T12:00:01Z")
    totals.add([old, new])
    assert totals.work.run[Backend.RQ].count == 13
    assert totals.watched.run[Backend.RQ].count == 3
    totals.add([worker("old", 11)])
    assert totals.watched.run[Backend.RQ].count == 4


def test_a_worker_that_was_away_for_a_while_is_not_counted_twice() -> None:
    totals = Totals(BEFORE)
    totals.add([worker("a", 10)])
    totals.add([])
    totals.add([worker("a", 11)])
    assert totals.work.run[Backend.RQ].count == 11


def test_so_many_workers_are_remembered_and_the_longest_silent_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "REMEMBERED", 3)
    seen = Totals(BEFORE)
    for number in range(9):
        seen.add([worker("stays", 10), worker(f"w{number}", 1)])
    assert [name for name, _ in seen._seen] == ["w7", "stays", "w8"]
    assert seen.work.run[Backend.RQ].count == 19


def counters(completed: int, dead: int = 0) -> dict[Backend, dict[str, int]]:
    return {backend: {"accepted": 0, "completed": completed, "dead": dead, "retried": 0} for backend in Backend}


def history(*moments: tuple[float, dict[Backend, dict[str, int]] | None]) -> History:
    found = History(every=1)
    for clock, counts in moments:
        found.add_moment(Moment(clock, counts, NOTHING))
    return found


def test_rates_are_taken_over_the_last_seconds() -> None:
    found = history((0, counters(0)), (90, counters(100)), (95, counters(120)), (100, counters(200, dead=5)))
    assert found.rates(Backend.RQ, 10)["completedPerSecond"] == 10
    assert found.rates(Backend.RQ, 5)["completedPerSecond"] == 16
    assert found.rates(Backend.RQ, 10)["failedPerSecond"] == 0.5


def test_a_rate_that_cannot_be_told_is_none() -> None:
    assert history().rates(Backend.RQ)["completedPerSecond"] is None
    assert history((0, counters(1))).rates(Backend.RQ)["completedPerSecond"] is None
    assert history((0, counters(1)), (2, None)).rates(Backend.RQ)["completedPerSecond"] is None
    assert history((0, None), (2, counters(4)), (4, counters(8))).rates(Backend.RQ)["completedPerSecond"] == 2


def test_counters_that_fall_mean_that_redis_was_emptied() -> None:
    assert not history((0, counters(5)), (1, None), (2, counters(6))).emptied
    fallen = history((0, counters(5)), (1, None), (2, counters(0)))
    assert fallen.emptied
    assert fallen.rates(Backend.RQ)["completedPerSecond"] is None


def test_work_of_the_last_seconds() -> None:
    found, totals = History(every=1), Totals(BEFORE)
    for second, completed in ((0, 10), (90, 10), (100, 14)):
        totals.add([worker("a", completed)])
        found.add_moment(Moment(second, None, totals.watched))
    recent = found.work(20)
    assert recent is not None
    assert recent.run[Backend.RQ].count == 4
    assert found.in_time() == {"booking": (4, 4)}


def test_what_is_in_time_is_told_of_the_last_minutes_alone() -> None:
    found, totals = History(every=1), Totals(BEFORE)
    for second, completed in ((0, 10), (100, 20), (300, 20), (500, 20)):
        totals.add([worker("a", completed)])
        found.add_moment(Moment(second, None, totals.watched))
    assert found.in_time() == {}, "none was done in them"
