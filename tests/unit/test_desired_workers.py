"""How many workers a load asks for."""

from __future__ import annotations

import pytest

from monitoring_service.desired import Load, desired_slots, desired_workers


@pytest.mark.parametrize(
    ("load", "workers"),
    [
        (Load(backlog=0, arrivals=0, run_seconds=1, slots=32), 1),
        (Load(backlog=0, arrivals=100, run_seconds=1, slots=10), 11),  # 100 at work, 10 more for bursts
        (Load(backlog=6000, arrivals=0, run_seconds=1, slots=10), 11),  # the same, within a minute
        (Load(backlog=6000, arrivals=100, run_seconds=1, slots=10), 22),
        (Load(backlog=10**9, arrivals=0, run_seconds=0, slots=10), 1),
        (Load(backlog=10, arrivals=1, run_seconds=1, slots=0), 3),
    ],
)
def test_it_keeps_up_and_works_off_what_waits(load: Load, workers: int) -> None:
    assert desired_workers(load, drain_seconds=60) == workers


def test_more_work_never_asks_for_fewer() -> None:
    asked = [desired_slots(Load(backlog, 5, 0.3, 8), 60) for backlog in range(0, 5000, 50)]
    assert asked == sorted(asked)
