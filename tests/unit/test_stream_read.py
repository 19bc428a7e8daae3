"""What a consumer reads, in which order, and that nothing delivered is forgotten or run twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from booking_queue.backends.stream.delivery import Entry
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.ledger.outbox import Outbox
from booking_queue.settings import Settings
from tests.unit.stream_lane import Streams, completed, eventually, holding, streams_of, worker_of


@pytest.fixture
async def streams(redis_settings: Settings) -> AsyncIterator[Streams]:
    async with streams_of(redis_settings) as streams:
        yield streams


@pytest.fixture
async def long_lease(redis_settings: Settings) -> AsyncIterator[Streams]:
    """Nothing is abandoned here: what is taken up was found by another way."""
    async with streams_of(redis_settings.model_copy(update={"lease_seconds": 600})) as streams:
        yield streams


async def past_lease(streams: Streams) -> None:
    until = await streams.now_ms() + streams.settings.lease_seconds * 1000

    async def passed() -> bool:
        return await streams.now_ms() > until

    await eventually(passed, "a lease's length")


async def test_levels_are_read_in_order_up_to_the_free_slots(streams: Streams) -> None:
    jobs = {level: [await streams.send(priority=level) for _ in range(3)] for level in ("low", "normal", "critical")}
    assert await streams.taken_ids("w1", 5) == jobs["critical"] + jobs["normal"][:2]
    assert await streams.taken_ids("w1", 2) == [jobs["normal"][2], jobs["low"][0]]
    assert await streams.taken_ids("w1", 9) == jobs["low"][1:]


async def test_a_lower_level_goes_first_where_it_has_waited_longest(streams: Streams) -> None:
    low = [await streams.send(priority="low") for _ in range(2)]
    normal = [await streams.send() for _ in range(2)]
    high = [await streams.send(priority="high") for _ in range(4)]
    assert await streams.taken_ids("w1", 1, fair=1) == [low[0]]
    assert await streams.taken_ids("w1", 3, fair=1) == [*high[:2], low[1]]
    assert await streams.taken_ids("w1", 1, fair=1) == [normal[0]]
    assert await streams.taken_ids("w1", 20, fair=1) == [*high[2:], normal[1]]
    high = [await streams.send(priority="high") for _ in range(2)]
    low = [await streams.send(priority="low")]
    assert await streams.taken_ids("w1", 1, fair=1) == low  # though the highest has waited longer


async def test_nothing_is_kept_back_for_levels_that_are_empty(streams: Streams) -> None:
    jobs = [await streams.send(priority="high") for _ in range(4)]
    assert await streams.taken_ids("w1", 3, fair=2) == jobs[:3]
    assert await streams.taken_ids("w1", 1, fair=1) == jobs[3:]


async def test_every_twentieth_start_is_a_lower_level(streams: Streams) -> None:
    low = [await streams.send(priority="low") for _ in range(2)]
    high = [await streams.send(priority="high") for _ in range(45)]
    async with worker_of(streams, slots=1) as worker:
        await completed(streams, *low, *high)
        assert [worker.started.index(job) for job in low] == [19, 39]


@pytest.mark.parametrize("slots", [1, 3, 50])
async def test_each_entry_is_handed_over_once_when_many_wait(streams: Streams, slots: int) -> None:
    jobs = [await streams.send(priority=("low", "normal")[number % 2]) for number in range(90)]
    async with worker_of(streams, slots=slots) as worker:
        await completed(streams, *jobs)
        assert sorted(worker.started) == sorted(jobs)


async def test_what_was_delivered_before_a_restart_is_taken_up(long_lease: Streams) -> None:
    jobs = [await long_lease.send() for _ in range(10)]
    assert await long_lease.taken_ids("w1", 10) == jobs
    async with worker_of(long_lease, "w1", slots=2) as worker:
        await completed(long_lease, *jobs)
        assert worker.started == jobs
    assert await long_lease.pending() == []


async def test_own_entries_come_before_new_ones_and_none_comes_twice(long_lease: Streams) -> None:
    jobs = [await long_lease.send() for _ in range(20)]
    await long_lease.take("w1", 10)
    assert await long_lease.taken_ids("w1", 6, own=1, fair=2) == jobs[:6]
    assert await long_lease.taken_ids("w1", 13, own=1, fair=4) == jobs[:13]


async def test_what_we_hold_is_looked_for_until_all_of_it_was_found(long_lease: Streams) -> None:
    for _ in range(6):
        await long_lease.send()
    *_, more = await long_lease.call("stream_take", "w1", 3, 0, 1, 0)
    assert not more  # we held nothing, though every slot was filled with new ones
    held, *_, more = await long_lease.call("stream_take", "w1", 2, 0, 1, 0)
    assert len(held) == 2 and more
    running = [Entry.of(raw).place for raw in held]
    *_, more = await long_lease.call("stream_take", "w1", 2, 0, 1, 0, *running)
    assert not more


async def test_an_answer_that_was_lost_is_read_again(long_lease: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis delivered, and we do not know what."""
    call, lost = long_lease.scripts.call, list[Any]()

    async def unlucky(op: str, *args: Any) -> Any:
        answer = await call(op, *args)
        if op == "stream_take" and answer[0] and not lost:
            lost.append(answer)
            raise LedgerUnavailable("the answer was lost")
        return answer

    monkeypatch.setattr(long_lease.scripts, "call", unlucky)
    async with worker_of(long_lease) as worker:
        jobs = [await long_lease.send() for _ in range(3)]
        await completed(long_lease, *jobs)
        assert sorted(worker.started) == sorted(jobs)
    assert lost


async def test_what_is_at_work_here_is_not_started_again(long_lease: Streams) -> None:
    async with worker_of(long_lease, gated=True) as worker:
        jobs = [await long_lease.send() for _ in range(3)]
        await holding(worker, 3)
        await long_lease.redis.xgroup_destroy(long_lease.normal, long_lease.names.group)
        await long_lease.send()  # is delivered after the three, which are read again from the beginning
        await holding(worker, 4)
        assert len(await long_lease.pending()) == 4
        assert sorted(worker.started[:3]) == sorted(jobs)
        worker.gate.set()
        await completed(long_lease, *jobs)
        assert len(worker.started) == 4


async def test_what_is_at_work_here_stays_free_for_others(streams: Streams) -> None:
    job = await streams.send()
    (entry,) = await streams.take("w1", 1)
    await past_lease(streams)
    answer = await streams.call("stream_take", "w1", 1, 0, 0, 1, entry.place)
    assert answer[0] == []
    assert await streams.taken_ids("w2", 1, look=1) == [job]


async def test_work_without_a_heartbeat_is_left_to_others_not_started_again(streams: Streams) -> None:
    async with worker_of(streams, "w1", gated=True) as stuck:
        job = await streams.send()
        await holding(stuck, 1)
        await past_lease(streams)
        await past_lease(streams)
        assert stuck.started == [job]

        async def free_for_others() -> bool:
            return bool((await streams.pending())[0][2] > 3_600_000)

        await eventually(free_for_others, "the entry to be as idle as can be")
        async with worker_of(streams, "w2") as other:
            await holding(other, 1)
            await completed(streams, job)
        assert stuck.started == [job]


async def test_a_vanished_consumers_work_is_taken_over_within_seconds(streams: Streams) -> None:
    async with worker_of(streams, "w1", gated=True) as first:
        jobs = [await streams.send(priority=level) for level in ("low", "normal", "high", "critical")]
        await holding(first, 4)
        await first.vanish()
    async with worker_of(streams, "w2") as second:
        await completed(streams, *jobs)
        assert sorted(second.started) == sorted(jobs)


async def test_what_is_taken_over_and_has_not_begun_is_free_again_before_a_whole_lease(long_lease: Streams) -> None:
    job = await long_lease.send()
    (entry,) = await long_lease.take("dead", 1)
    await long_lease.redis.xclaim(entry.stream, long_lease.names.group, "dead", 0, [entry.id], idle=601_000)
    assert len(await long_lease.take("w2", 1, look=1)) == 1
    assert 200_000 <= (await long_lease.pending())[0][2] < 300_000
    await long_lease.call("stream_extend", entry.stream, entry.id, "w2")
    assert 200_000 <= (await long_lease.pending())[0][2] < 300_000, "it waits for its lease in the ledger"
    claim = await long_lease.claim(job, "w2")
    await long_lease.call("stream_extend", entry.stream, entry.id, "w2", job, claim.token)
    assert (await long_lease.pending())[0][2] < 100_000


async def test_the_search_for_abandoned_entries_goes_to_the_end(long_lease: Streams) -> None:
    """Redis looks at ten times COUNT entries a call: behind many that are in use, the abandoned are still found."""
    jobs = [await long_lease.send() for _ in range(120)]
    lying = [entry.id for entry in await long_lease.take("dead", 120)][110:]
    await long_lease.redis.xclaim(long_lease.normal, long_lease.names.group, "dead", 0, lying, idle=700_000)
    assert await long_lease.taken_ids("w2", 2, look=1) == jobs[110:112]
    assert await long_lease.taken_ids("w2", 20, look=1) == jobs[112:]


async def test_entries_in_use_are_not_taken(long_lease: Streams) -> None:
    await long_lease.send()
    (entry,) = await long_lease.take("w1", 1)
    assert await long_lease.take("w2", 1, look=1) == []
    await long_lease.redis.xclaim(entry.stream, long_lease.names.group, "w1", 0, [entry.id], idle=601_000)
    assert len(await long_lease.take("w2", 1, look=1)) == 1


@pytest.mark.parametrize("how", ["look", "own"])
async def test_a_pending_entry_that_somebody_deleted_raises_an_alarm_and_is_sent_again(
    streams: Streams, how: str
) -> None:
    job = await streams.send()
    (entry,) = await streams.take("w1", 1)
    await streams.redis.xdel(entry.stream, entry.id)
    await past_lease(streams)
    answer = await streams.call("stream_take", "w1", 1, 0, int(how == "own"), int(how == "look"))
    assert answer[2] == [entry.place.encode()]
    assert (await streams.publisher.stats())["alarms"]["pendingEntriesDeleted"] == 1
    assert await streams.pending() == []
    (due,) = await Outbox(streams.scripts).due(streams.publisher.backend)
    await streams.publisher.publish([due])
    assert await streams.taken_ids("w1", 1) == [job]


async def test_a_new_entry_wakes_a_blocked_consumer(long_lease: Streams) -> None:
    """The housekeeping's own turns are a second apart; ten messages one after the other take far less than ten."""
    async with worker_of(long_lease) as worker:
        began = asyncio.get_running_loop().time()
        for number in range(10):
            job = await long_lease.send(priority=("low", "normal", "high", "critical")[number % 4])
            await completed(long_lease, job)
        assert len(worker.started) == 10
        assert asyncio.get_running_loop().time() - began < 5


async def test_no_new_work_is_taken_after_stop(streams: Streams) -> None:
    async with worker_of(streams) as worker:
        await completed(streams, await streams.send())
        await worker.leave()
        await streams.send()
        assert await streams.pending() == []
        assert (await streams.publisher.stats())["lag"] == 1


async def test_what_arrives_while_stopping_is_handed_back_unrun(
    long_lease: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await long_lease.send()
    call = long_lease.scripts.call
    async with worker_of(long_lease) as worker:

        async def late(op: str, *args: Any) -> Any:
            answer = await call(op, *args)
            if op == "stream_take":
                worker.stop.set()
                await asyncio.sleep(0.01)
            return answer

        monkeypatch.setattr(long_lease.scripts, "call", late)
        await asyncio.wait_for(worker.task, 20)
        assert worker.started == []
    assert await long_lease.taken_ids("w2", 1, look=1) == [job]
