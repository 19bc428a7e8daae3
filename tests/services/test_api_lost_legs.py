"""What a broker seems to have lost is published again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from api_service import reconciler as module
from api_service.reconciler import LANE_SECONDS
from booking_queue.domain.job import State
from booking_queue.ledger.limits import Limits
from booking_queue.settings import Settings
from tests.services.reconciler_room import RQ, Room, room_of


@pytest.fixture
async def room(redis_settings: Settings) -> AsyncIterator[Room]:
    async with room_of(redis_settings) as room:
        yield room


async def lose(room: Room) -> str:
    """A job that was published over a minute ago, and that its broker lost."""
    job = await room.sent()
    assert await room.state(job) is State.QUEUED
    room.service.broker.levels = {level: type(found)() for level, found in room.service.broker.levels.items()}
    await room.age(job, 61)
    return job


async def test_what_an_empty_lane_has_lost_is_published_again_and_counted(room: Room) -> None:
    await lose(room)
    reconciler = room.reconciler()
    room.clock.now += LANE_SECONDS
    await reconciler.turn()
    assert (room.republished, await room.lost()) == (1, 1)
    await reconciler.turn()
    assert room.service.waiting == 1
    room.clock.now += LANE_SECONDS
    await reconciler.turn()
    await reconciler.turn()
    assert room.republished == 1, "the lane is not empty any more"


async def test_lost_legs_are_found_behind_any_number_that_wait_for_their_turn(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lose(room)
    monkeypatch.setattr(module, "BATCH", 3)
    monkeypatch.setattr(module, "LOOKS", 2, raising=False)
    _, *waiting = [await room.job(ordering_key="k") for _ in range(8)]
    for job in waiting:
        await room.redis.zincrby(room.key("open:rq"), -90_000, job)
    reconciler = room.reconciler()
    for _ in range(2):  # the first look ends before it gets there
        assert room.republished == 0
        room.clock.now += LANE_SECONDS
        await reconciler.turn()
    assert room.republished == 1


async def test_what_a_lane_has_lost_is_published_again_though_it_holds_jobs_that_are_not_due(room: Room) -> None:
    await lose(room)
    assert await room.state(await room.sent(delay=3_600_000)) is State.DELAYED
    await room.look(room.reconciler())
    assert room.republished == 1


async def test_a_lane_with_work_in_it_has_lost_nothing(room: Room) -> None:
    await lose(room)
    await room.sent()
    await room.look(room.reconciler())
    assert room.republished == 0


async def test_what_is_long_overdue_is_published_again_whatever_the_lane_holds(room: Room) -> None:
    job = await lose(room)
    await room.sent()
    await room.age(job, 600)
    reconciler = room.reconciler()
    await room.look(reconciler)
    await room.look(reconciler)
    assert (room.republished, room.service.waiting) == (1, 2), "the copy may be waiting behind others"
    await room.age(job, 600)
    await room.redis.hincrby(room.key(f"job:{job}"), "rq.resent", -600_000)
    await room.look(reconciler)
    assert room.republished == 1
    await room.redis.hincrby(room.key(f"job:{job}"), "rq.resent", -100_000)
    await room.look(reconciler)
    assert room.republished == 2, "it has waited twice as long"


async def test_jobs_that_have_long_waited_behind_others_are_published_again_few_at_a_time_and_once(room: Room) -> None:
    jobs = [await room.job() for _ in range(25)]
    await room.past_grace()
    reconciler = room.reconciler()
    await reconciler.turn()
    for job in jobs:
        await room.age(job, 3600)
    limits = Limits(room.scripts)
    await limits.put({RQ: {"paused": 1}})
    await room.look(reconciler)
    assert room.republished == 0, "they wait for whoever paused it"
    await limits.put({RQ: {"paused": None}})
    copies = []
    for _ in range(5):
        await room.look(reconciler)
        copies.append(room.republished)
    assert copies == [10, 20, 25, 25, 25]
    assert await room.lost() == 0, "nobody knows that, and nobody is alarmed"


async def test_young_legs_are_left_alone_and_nobody_is_asked(room: Room) -> None:
    job = await lose(room)
    await room.redis.zincrby(room.key("open:rq"), 30_000, job)
    reconciler = room.reconciler()

    async def stats() -> dict[str, object]:
        raise AssertionError("asked for nothing")

    reconciler.link.stats = stats  # type: ignore[method-assign]
    room.clock.now += LANE_SECONDS
    await reconciler.turn()
    assert room.republished == 0


async def test_a_service_that_does_not_tell_its_backlog_is_never_taken_for_empty(room: Room) -> None:
    await lose(room)
    reconciler = room.reconciler()

    async def stats() -> dict[str, object]:
        return {"stats": {"waiting": 0}}

    reconciler.link.stats = stats  # type: ignore[method-assign]
    room.clock.now += LANE_SECONDS
    await reconciler.turn()
    assert room.republished == 0
