"""Housekeeping: it takes off what nobody needs, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from booking_queue.settings import Settings
from tests.unit.stream_lane import Streams, completed, eventually, streams_of, worker_of

Id = tuple[int, int]


@pytest.fixture
async def streams(redis_settings: Settings) -> AsyncIterator[Streams]:
    async with streams_of(redis_settings) as streams:
        yield streams


async def ids(streams: Streams) -> list[str]:
    return [entry_id.decode() for entry_id, _ in await streams.redis.xrange(streams.normal)]


async def done(streams: Streams, count: int) -> None:
    """`count` more entries that were delivered and acknowledged."""
    for _ in range(count):
        await streams.send()
    entries = await streams.take("w1", count)
    await streams.redis.xack(streams.normal, streams.names.group, *(entry.id for entry in entries))


@pytest.mark.parametrize(("finished", "kept"), [(350, 100), (350, 340), (30, 7), (250, 150), (5, 100)])
async def test_exactly_the_newest_finished_entries_stay(streams: Streams, finished: int, kept: int) -> None:
    await done(streams, finished)
    before = await ids(streams)
    for _ in range(3):
        await streams.call("stream_trim", kept)
    assert await ids(streams) == before[-kept:]


async def test_what_was_not_read_yet_is_never_trimmed(streams: Streams) -> None:
    jobs = [await streams.send() for _ in range(150)]
    await streams.call("stream_trim", 10)
    assert await streams.length() == 150
    await streams.take("w1", 20)
    await streams.redis.xack(streams.normal, streams.names.group, *(await ids(streams))[:20])
    await streams.call("stream_trim", 10)
    assert await streams.taken_ids("w1", 200) == jobs[20:]


async def test_what_is_in_hand_is_never_trimmed(streams: Streams) -> None:
    await done(streams, 130)
    await streams.send()
    (held,) = await streams.take("w1", 1)
    await done(streams, 130)
    await streams.call("stream_trim", 5)
    left = await ids(streams)
    assert left[0] == held.id
    assert len(left) == 131


async def test_what_another_group_still_needs_is_never_trimmed(streams: Streams) -> None:
    assert await streams.publisher.create_group("audit", "0")
    await done(streams, 130)
    await streams.call("stream_trim", 5)
    assert await streams.length() == 130
    await streams.redis.xreadgroup("audit", "reader", {streams.normal: ">"}, count=120)
    await streams.call("stream_trim", 5)
    assert await streams.length() == 130  # read there, and not acknowledged
    first = (await ids(streams))[:110]
    await streams.redis.xack(streams.normal, "audit", *first)
    await streams.call("stream_trim", 5)
    assert await streams.length() == 20


async def test_a_running_consumer_trims_by_itself(redis_settings: Settings) -> None:
    async with streams_of(redis_settings.model_copy(update={"stream_keep": 3})) as streams, worker_of(streams):
        jobs = [await streams.send() for _ in range(20)]
        await completed(streams, *jobs)

        async def trimmed() -> bool:
            return await streams.length() == 3

        await eventually(trimmed, "the stream to be trimmed")


async def test_what_is_older_than_the_records_goes_whatever_its_number(streams: Streams) -> None:
    """Else a group made anew would deliver it, and it would be buried as expired though it was done."""
    old = await streams.now_ms() - streams.settings.ledger_retention * 1000 - 1000
    await streams.redis.xadd(streams.normal, {"messageId": "m"}, id=f"{old}-0")
    await streams.redis.xadd(streams.names.dead, {"originalMessageId": "m"}, id=f"{old}-0")
    await streams.redis.xadd(streams.names.dead, {"originalMessageId": "n"})
    await streams.call("stream_trim", 1000)
    assert await streams.length() == 1  # unread, so it stays
    (entry,) = await streams.take("w1", 1)
    await streams.call("stream_trim", 1000)
    assert await streams.length() == 1  # in hand, so it stays
    await streams.redis.xack(streams.normal, streams.names.group, entry.id)
    await done(streams, 2)
    await streams.call("stream_trim", 1000)
    assert await streams.length() == 2
    assert [letter["originalMessageId"] for letter in await streams.publisher.dead_letters()] == ["n"]


async def test_only_the_names_of_those_who_hold_nothing_are_swept(streams: Streams) -> None:
    await streams.send()
    await streams.take("holds", 1)
    await streams.take("empty", 1)
    assert await streams.call("stream_sweep", 3_600_000) == [0]

    async def swept() -> bool:
        await streams.call("stream_sweep", 1)
        return [each["name"] for each in await streams.publisher.consumers()] == ["holds"]

    await eventually(swept, "the empty consumer's name to be swept")
    ((_, holder, _, _),) = await streams.pending()
    assert holder == "holds"


@pytest.mark.parametrize("first_deleted", [0, 1])
async def test_unread_entries_that_somebody_deleted_do_not_count_as_waiting(
    streams: Streams, first_deleted: int
) -> None:
    """Else the lane would never look empty, and the jobs would never be sent again. Redis' own lag is unknown then,
    or too high when nothing is left."""
    for _ in range(3):
        await streams.send()
    await streams.take("w1", 1)
    for entry_id in (await ids(streams))[first_deleted:]:
        await streams.redis.xdel(streams.normal, entry_id)
    stats = await streams.publisher.stats()
    assert (stats["lag"], stats["backlog"]) == (0, 1)
    await streams.send()
    assert (await streams.publisher.stats())["lag"] >= 1


async def test_nothing_without_owner_or_expiry_is_left(streams: Streams) -> None:
    """Once the records are gone: the streams, what they count by, and nothing else."""
    async with worker_of(streams) as worker:
        jobs = [await streams.send(priority=level) for level in ("low", "high", "normal")]
        jobs.append(await streams.send(delay=200))
        await completed(streams, *jobs)
        await worker.leave()
    await streams.redis.delete(*(streams.key(f"{kind}:{job}") for job in jobs for kind in ("job", "audit")))
    shards = streams.key("stream:ids")
    for shard in await streams.redis.zrange(shards, 0, -1):
        await streams.redis.zadd(shards, {shard: 0})
    await streams.call("stream_forget", 100)
    keys = {key.decode() async for key in streams.redis.scan_iter(match=f"{streams.settings.key_prefix}*")}
    lasting = {key for key in keys if await streams.redis.ttl(key) < 0}
    known = {*streams.names.levels, streams.key("stream:seq"), streams.key("events"), streams.key("counters")}
    assert lasting <= known
