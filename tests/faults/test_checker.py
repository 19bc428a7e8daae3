"""The checker sees each kind of wrong in a made-up history, and none in a good one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.checker import Limits, at_most, judge
from tests.faults.history import (
    TOGETHER,
    Attempt,
    End,
    Event,
    Expected,
    History,
    Night,
    Outcome,
    Poison,
    Quiet,
    Stopped,
    read_log,
)
from tests.faults.reruns import percentile, reruns

SENT = Attempt("u1", "rq", booking="b1", status=202, seconds=0.1)
DONE = End("b1", "u1", "rq", "completed", confirmed=True)
STARTED = Event(1_000, "started", "rq", "w1")
COMPLETED = Event(3_000, "completed", "rq", "w1")
REFUSED = replace(SENT, outcome=Outcome.REFUSED, booking="", status=503, retry_after="5")
GOOD = History(
    attempts=[SENT],
    ends=[DONE],
    quiet=Quiet(2.0),
    charges={"b1:payment": 1},
    raw_charges=2,
    mails={"b1": 1},
    nights=[Night("h 2027-03-01", 10, 1, 1)],
    audits={"b1": [STARTED, COMPLETED, Event(3_000, "confirmed")]},
)

ON_KAFKA = replace(DONE, backend="kafka")
ALL_THREE = replace(
    GOOD,
    attempts=[replace(SENT, backend=TOGETHER)],
    ends=[DONE, ON_KAFKA, replace(DONE, backend="redisStreams")],
    audits={"b1": [STARTED, replace(STARTED, backend="kafka"), COMPLETED, replace(COMPLETED, backend="kafka")]},
)

BAD = {
    "lost: still active": (replace(GOOD, ends=[replace(DONE, state="active", confirmed=False)]), "lost"),
    "lost: no record": (replace(GOOD, ends=[]), "lost"),
    "dead for no reason of its own": (replace(GOOD, ends=[replace(DONE, state="dead")]), "unexpectedly dead"),
    "what must die lives": (replace(GOOD, attempts=[replace(SENT, expected=Expected.DEAD)]), "not dead"),
    "a poison without a letter": (replace(GOOD, poisons=[Poison("bytes", "kafka", "")]), "not dead"),
    "nobody sent it": (replace(GOOD, ends=[DONE, replace(DONE, booking="b2", user="u2")]), "unexpected"),
    "two of one attempt": (replace(GOOD, ends=[DONE, replace(DONE, booking="b2")]), "unexpected"),
    "refused and done": (
        replace(GOOD, attempts=[replace(SENT, outcome=Outcome.REFUSED, booking="", status=422)]),
        "unexpected",
    ),
    "charged twice": (replace(GOOD, charges={"b1:payment": 2}), "doubled"),
    "charged under two keys": (replace(GOOD, charges={"b1:payment": 1, "b1:payment:2": 1}), "doubled"),
    "one leg of three lost": (replace(ALL_THREE, ends=[DONE, replace(ON_KAFKA, state="queued")]), "lost"),
    "one leg of three completed twice": (
        replace(ALL_THREE, audits={"b1": [COMPLETED, *[replace(COMPLETED, backend="kafka")] * 2]}),
        "doubled",
    ),
    "refused by an error": (replace(GOOD, attempts=[SENT, replace(REFUSED, user="u2", status=500)]), "refused"),
    "refused without a word when to come back": (
        replace(GOOD, attempts=[SENT, replace(REFUSED, user="u2", retry_after="")]),
        "refused",
    ),
    "nearly all refused": (
        replace(GOOD, attempts=[SENT, *[replace(REFUSED, user=f"r{n}") for n in range(9)]]),
        "refused",
    ),
    "no mail": (replace(GOOD, mails={}), "mails"),
    "two confirmations": (replace(GOOD, mails={"b1": 2}), "mails"),
    "completed and not confirmed": (
        replace(GOOD, ends=[replace(DONE, confirmed=False)], charges={}, mails={}, nights=[]),
        "not confirmed",
    ),
    "cancelled, and nobody asked for it": (
        replace(GOOD, ends=[replace(DONE, confirmed=False, state="cancelled", cancelled=True)], charges={}, mails={}),
        "not confirmed",
    ),
    "completed twice": (replace(GOOD, audits={"b1": [STARTED, COMPLETED, COMPLETED]}), "doubled"),
    "not charged": (replace(GOOD, charges={}), "not charged"),
    "not refunded": (
        replace(
            GOOD,
            attempts=[replace(SENT, expected=Expected.ENDED)],
            ends=[replace(DONE, state="dead", confirmed=False)],
        ),
        "not charged",
    ),
    "oversold": (replace(GOOD, nights=[Night("h", 0, 1, 1)]), "rooms"),
    "sold twice": (replace(GOOD, nights=[Night("h", 10, 2, 2)]), "rooms"),
    "held for nobody": (replace(GOOD, nights=[Night("h", 10, 2, 1)]), "rooms"),
    "published twice": (replace(GOOD, copies={"redisStreams b1 1": 2}), "published twice"),
    "twice in a queue": (replace(GOOD, copies={"rq b1 at one moment": 2}), "published twice"),
    "stolen back": (replace(GOOD, owners={"1-1": ["w1", "w1", "w2", "w1"]}), "stolen back"),
    "told that it is cancelled, and it is not": (replace(GOOD, cancels={"b1": 202}), "not cancelled"),
    "an older version after a newer one": (replace(GOOD, versions={"k": [1, 3, 2]}), "version"),
    "a hang": (replace(GOOD, attempts=[replace(SENT, seconds=10.5)]), "hang"),
    "late": (replace(GOOD, quiet=Quiet(61.0)), "not quiet"),
    "never quiet": (replace(GOOD, quiet=Quiet(None, {"rq queue": 1})), "not quiet"),
    "a key that stays": (replace(GOOD, quiet=Quiet(2.0, ownerless=["bq:odd"])), "ownerless key"),
    "run again too late": (
        replace(
            GOOD,
            audits={"b1": [STARTED, Event(33_000, "started", "rq", "w2")]},
            stopped=[Stopped(2_000, "w1")],
        ),
        "rerun",
    ),
    "never run again": (replace(GOOD, audits={"b1": [STARTED]}, stopped=[Stopped(2_000, "w1")]), "rerun"),
}


def test_a_good_history_is_clean() -> None:
    verdict = judge(GOOD)
    assert verdict.wrong == {}
    assert str(verdict) == "clean"
    assert verdict.raw_charges == 2_000_000
    assert (verdict.lanes["rq"].acked, verdict.lanes["rq"].lost) == (1, [])


@pytest.mark.parametrize("name", BAD)
def test_each_wrong_is_seen(name: str) -> None:
    history, check = BAD[name]
    verdict = judge(history)
    assert check in verdict.wrong, str(verdict)
    assert check in str(verdict)


def test_an_answer_that_never_came_may_or_may_not_be_a_booking() -> None:
    unknown, limits = replace(SENT, outcome=Outcome.UNKNOWN, booking=""), Limits(accepted=0)
    assert judge(replace(GOOD, attempts=[unknown]), limits).wrong == {}
    assert judge(History([unknown], [], Quiet(1.0)), limits).wrong == {}


def test_a_503_may_have_been_taken() -> None:
    assert judge(replace(GOOD, attempts=[REFUSED]), Limits(accepted=0)).wrong == {}


def test_three_legs_that_share_one_charge_are_well() -> None:
    verdict = judge(ALL_THREE)
    assert verdict.wrong == {} and verdict.begun_again == []
    assert verdict.lanes[TOGETHER].acked == 1
    again = {"b1": [*ALL_THREE.audits["b1"][:2], replace(STARTED, at=2_000), COMPLETED]}
    assert judge(replace(ALL_THREE, audits=again)).begun_again == ["b1"]


def test_a_second_round_is_paid_after_the_first_was_given_back() -> None:
    redriven = replace(GOOD, charges={"b1:payment": 1, "b1:payment:2": 1}, refunds={"b1:payment": 1})
    assert judge(redriven).wrong == {}
    assert judge(replace(redriven, mails={"b1": 2})).wrong == {}


def test_a_refund_settles_what_died() -> None:
    dead = History(
        [replace(SENT, expected=Expected.DEAD)],
        [replace(DONE, state="dead", confirmed=False, error="failed")],
        Quiet(1.0),
        charges={"b1:payment": 1},
        refunds={"b1:payment": 1},
    )
    assert judge(dead).wrong == {}


def test_a_cancelled_booking_has_its_money_back_and_may_have_been_confirmed() -> None:
    cancelled = replace(GOOD, ends=[replace(DONE, confirmed=False, cancelled=True)], nights=[], cancels={"b1": 202})
    assert list(judge(cancelled).wrong) == ["not charged"]
    assert judge(replace(cancelled, refunds={"b1:payment": 1})).wrong == {}
    assert judge(replace(GOOD, cancels={"b1": 409})).wrong == {}


def test_limits_may_be_left_out() -> None:
    slow = replace(GOOD, attempts=[replace(SENT, seconds=99)], quiet=Quiet(99))
    assert judge(slow, Limits(quiet=math.inf, answer=None)).wrong == {}
    never = replace(GOOD, quiet=Quiet(None))
    assert "not quiet" in judge(never, Limits(quiet=math.inf)).wrong, "late is not never"
    assert judge(never, Limits(quiet=None)).wrong == {}


def test_rerun_is_from_the_stop_to_the_next_start() -> None:
    again = Event(20_000, "started", "rq", "w2")
    audits = {"b1": [STARTED, Event(1_500, "step", "rq"), again, Event(21_000, "completed", "rq", "w2")]}
    assert reruns(audits, [Stopped(2_000, "w1")]) == {"rq": [18.0]}


@pytest.mark.parametrize(
    "events",
    [
        [STARTED, Event(1_900, "completed", "rq", "w1")],  # before the stop
        [STARTED, Event(2_001, "completed", "rq", "w1")],  # its last word was under way
        [Event(1_000, "started", "rq", "w2"), Event(9_000, "completed", "rq", "w2")],  # another worker's
        [Event(2_500, "started", "rq", "w1")],  # a later worker of that name
        [STARTED, Event(2_500, "cancelling")],  # nobody wants it any more
    ],
)
def test_what_was_not_cut_off_is_no_rerun(events: list[Event]) -> None:
    assert reruns({"b1": events}, [Stopped(2_000, "w1")]) == {"rq": []}


def test_a_p99_is_judged_where_there_is_one() -> None:
    late = {f"b{n}": [STARTED, Event(24_000, "started", "rq", "w2")] for n in range(100)}
    killed = [Stopped(2_000, "w1")]
    assert "rerun" in judge(replace(GOOD, audits=late, stopped=killed)).wrong
    assert "rerun" not in judge(replace(GOOD, audits={"b1": late["b1"]}, stopped=killed)).wrong


def test_never_again_is_infinite() -> None:
    assert reruns({"b1": [STARTED]}, [Stopped(2_000, "w1")]) == {"rq": [math.inf]}


def test_percentile_is_the_nearest_rank() -> None:
    assert [percentile([3, 1, 2], share) for share in (0.5, 0.99)] == [2, 3]
    assert percentile([], 0.99) == 0


def test_nothing_found_is_a_bound() -> None:
    assert at_most(0, 3000) == "0 (<= 1.0e-03)"
    assert at_most(2, 3000) == "2 of 3000"
    assert at_most(0, 0) == "0 of 0"


def test_a_log_is_read_back() -> None:
    lines: list[dict[str, Any]] = [
        {"what": "attempt", "user": "u1", "backend": "rq", "expected": "completed"},
        {"what": "attempt", "user": "u2", "backend": "kafka", "expected": "dead"},
        {"what": "ack", "user": "u1", "bookingId": "b1", "status": 202, "seconds": 0.1},
    ]
    assert read_log(lines) == [SENT, Attempt("u2", "kafka", Expected.DEAD, Outcome.CUT_OFF)]
