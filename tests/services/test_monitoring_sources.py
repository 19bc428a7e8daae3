"""A source keeps what it said last, and knows how old that is."""

from __future__ import annotations

import asyncio
from typing import Any

from monitoring_service.poller import Source


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Said:
    """What a source says next: a value, or an exception."""

    def __init__(self, *answers: Any):
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self) -> Any:
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_source_keeps_what_it_said_last_with_its_age() -> None:
    clock = Clock()
    source: Source[str] = Source("s", Said("one", OSError("gone"), "two"), every=2, clock=clock)
    assert source.staleness() == {"stale": True, "ageSeconds": None, "error": None}
    await source.refresh()
    assert (source.fresh_value, source.stale) == ("one", False)
    clock.now += 5
    await source.refresh()
    assert source.value == "one"
    assert source.fresh_value is None
    assert source.staleness() == {"stale": True, "ageSeconds": 5.0, "error": "gone"}
    await source.refresh()
    assert source.staleness() == {"stale": False, "ageSeconds": 0.0, "error": None}


async def test_a_source_that_is_not_asked_any_more_grows_stale() -> None:
    clock = Clock()
    source: Source[str] = Source("s", Said("one"), every=2, deadline=2, clock=clock)
    await source.refresh()
    clock.now += 7
    assert not source.stale
    clock.now += 2
    assert source.stale


async def test_a_source_that_hangs_is_given_up_and_tells_so() -> None:
    async def hang() -> str:
        await asyncio.sleep(60)
        return "never"

    source: Source[str] = Source("s", hang, every=1, deadline=0.05)
    await source.refresh()
    assert source.error == "no answer within 0.05 s"


async def test_questions_at_the_same_time_are_one() -> None:
    said = Said("one", "two")
    source: Source[str] = Source("s", said, every=1)
    await asyncio.gather(*(source.refresh() for _ in range(10)))
    assert said.asked == 1


async def test_a_recent_answer_serves_others() -> None:
    clock, said = Clock(), Said("one", "two", OSError("gone"), "three")
    source: Source[str] = Source("s", said, every=1, clock=clock)
    await source.recent()
    await source.recent()
    assert said.asked == 1
    clock.now += 1.5
    await source.recent()
    assert source.value == "two"
    clock.now += 1.5
    await source.recent()
    await source.recent()  # after a failure it is asked again at once
    assert source.value == "three"
