from __future__ import annotations

import pytest

from api_service.circuit import FAILURES, PROBE_SECONDS, Circuit


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_opens_after_five_failures_in_a_row_and_one_success_closes_it(clock: Clock) -> None:
    circuit = Circuit(clock)
    for number in range(FAILURES):
        assert not circuit.open, number
        circuit.failed()
    assert circuit.open and circuit.failing
    circuit.succeeded()
    assert not circuit.open and not circuit.failing


def test_successes_between_failures_keep_it_closed_while_they_are_more(clock: Clock) -> None:
    circuit = Circuit(clock)
    for _ in range(30):
        circuit.failed()
        circuit.succeeded()
        circuit.succeeded()
    assert not circuit.open


def test_half_of_the_last_seconds_calls_failing_opens_it(clock: Clock) -> None:
    circuit = Circuit(clock)
    for _ in range(10):
        circuit.succeeded()
        circuit.failed()
    assert circuit.open
    circuit.succeeded()
    circuit.failed()
    assert not circuit.open, "what was before it closed does not count"


def test_old_failures_are_forgotten(clock: Clock) -> None:
    circuit = Circuit(clock)
    for _ in range(9):
        circuit.succeeded()
        circuit.failed()
    circuit.succeeded()
    clock.now += 11
    circuit.failed()
    assert not circuit.open


def test_a_failing_service_is_probed_every_five_seconds_by_one_caller(clock: Clock) -> None:
    circuit = Circuit(clock)
    assert not circuit.probe_due(), "one that works needs no probe"
    circuit.failed()
    assert not circuit.probe_due()
    clock.now += PROBE_SECONDS
    assert circuit.probe_due()
    assert not circuit.probe_due()
    circuit.failed()
    clock.now += PROBE_SECONDS
    assert circuit.probe_due()
    circuit.succeeded()
    clock.now += PROBE_SECONDS
    assert not circuit.probe_due()
