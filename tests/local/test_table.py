"""The demo's table."""

from __future__ import annotations

import pytest

from local.table import Leg, Screen, lines, percentile, rows


def leg(backend: str, state: str, started: float | None = None, finished: float | None = None) -> Leg:
    def stamp(seconds: float | None) -> str | None:
        return None if seconds is None else f"2026-01-31T12:00:{seconds:06.3f}Z"

    made = Leg(backend)
    moments = {"enqueued": stamp(0), "started": stamp(started), "finished": stamp(finished)}
    made.update({"state": state, "worker": "w1", "timestamps": moments})
    return made


@pytest.mark.parametrize(("share", "expected"), [(0.5, 5), (0.95, 10), (0.9, 9), (0.01, 1), (1, 10)])
def test_a_percentile_is_one_of_the_values(share: float, expected: float) -> None:
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], share) == expected


def test_nothing_has_no_percentile() -> None:
    assert percentile([], 0.5) is None


def test_each_backend_is_counted_and_timed_apart() -> None:
    legs = [
        leg("rq", "completed", 0.1, 0.35),
        leg("rq", "completed", 0.2, 1.7),
        leg("rq", "active", 0.3),
        leg("redisStreams", "dead", 0.1, 0.2),
        leg("kafka", "pending"),
    ]
    assert rows(legs) == [
        ["rq", "3", "0", "1", "2", "0", "200 ms", "300 ms", "250 ms", "1.50 s"],
        ["redisStreams", "1", "0", "0", "0", "1", "100 ms", "100 ms", "100 ms", "100 ms"],
        ["kafka", "1", "1", "0", "0", "0", "-", "-", "-", "-"],
    ]
    assert len({len(line) for line in lines(legs)}) == 1


def test_what_the_gateway_does_not_tell_changes_nothing() -> None:
    known = leg("rq", "active", 0.1)
    known.update({})
    assert (known.state, known.worker, known.wait) == ("active", "w1", 0.1)


def test_a_terminal_is_drawn_over_and_a_pipe_gets_the_last_table_alone(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Screen(live=True)
    terminal.draw(["a", "b"])
    terminal.draw(["c", "d"])
    assert capsys.readouterr().out == "\x1b[2Ka\n\x1b[2Kb\n\x1b[2A\x1b[2Kc\n\x1b[2Kd\n"
    pipe = Screen(live=False)
    pipe.draw(["a"])
    pipe.draw(["b"], last=True)
    assert capsys.readouterr().out == "b\n"
