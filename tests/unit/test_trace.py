from __future__ import annotations

import re

import pytest

from booking_queue import trace

FORM = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


def test_new_ones_have_the_form_and_differ() -> None:
    made = {trace.new() for _ in range(1000)}
    assert len(made) == 1000 and all(FORM.fullmatch(one) for one in made)


def test_a_child_keeps_the_trace_and_flags_with_a_span_of_its_own() -> None:
    child = trace.child(PARENT)
    assert FORM.fullmatch(child) and trace.trace_id(child) == trace.trace_id(PARENT)
    assert child[36:52] != PARENT[36:52] and child.endswith("-00")
    assert trace.trace_id(trace.child("cc" + PARENT[2:] + "-what-the-future-may-be")) == trace.trace_id(PARENT)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "nonsense",
        PARENT.upper(),
        PARENT + "-more",
        PARENT + "\n",
        "ff" + PARENT[2:],
        "00-" + "0" * 32 + PARENT[35:],
        PARENT[:36] + "0" * 16 + "-01",
    ],
)
def test_what_is_no_traceparent_starts_a_new_trace(wrong: str) -> None:
    child = trace.child(wrong)
    assert FORM.fullmatch(child) and trace.trace_id(child) != trace.trace_id(PARENT)
    assert trace.trace_id(child) != "0" * 32
