from __future__ import annotations

import random

from api_service.budget import SECONDS_EACH, SHARE, SPARE, RetryBudget


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_retries_that_fail_are_a_fifth_of_the_first_tries_and_a_few() -> None:
    """Whatever happens in which order: in no span of time are there more."""
    for seed in range(20):
        dice, clock = random.Random(seed), Clock()
        budget = RetryBudget(clock)
        lost = [(clock.now, 0, 0)]  # time, first tries and failed retries so far
        for _ in range(300):
            clock.now += dice.choice((0, 0.01, 0.5, 3))
            _, tries, failed = lost[-1]
            if dice.random() < 0.5:
                budget.tried()
                tries += 1
            elif budget.allows():
                budget.retry_failed()
                failed += 1
            lost.append((clock.now, tries, failed))
        for i, (since, tries, failed) in enumerate(lost):
            for until, later_tries, later_failed in lost[i:]:
                most = SPARE + SHARE * (later_tries - tries) + (until - since) / SECONDS_EACH
                assert later_failed - failed <= most + 1e-6


def test_what_succeeds_costs_nothing_and_one_comes_back_by_itself() -> None:
    clock = Clock()
    budget = RetryBudget(clock)
    for _ in range(round(SPARE)):
        assert budget.allows()
        budget.retry_failed()
    assert not budget.allows()
    clock.now += SECONDS_EACH
    assert budget.allows()
    clock.now += 1_000_000
    assert budget.left == SPARE
