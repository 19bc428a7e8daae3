"""How a job gets onto a stream: once, under an id of its own, that leads back to it as long as its record lives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from booking_queue.domain.job import State
from booking_queue.ledger.ledger import LegRef
from booking_queue.settings import Settings
from tests.unit.stream_lane import Streams, eventually, streams_of

LEVELS = ["critical", "high", "normal", "low"]


@pytest.fixture
async def streams(redis_settings: Settings) -> AsyncIterator[Streams]:
    async with streams_of(redis_settings) as streams:
        yield streams


async def test_an_entry_can_be_read_by_people(streams: Streams) -> None:
    job = await streams.accept(priority="high")
    (answer,) = await streams.publisher.publish([LegRef(job, 1)])
    assert not isinstance(answer, Exception)
    assert answer.state == State.QUEUED
    ((stream_id, fields),) = await streams.redis.xrange(f"{streams.normal}-high")
    assert answer.receipt == {"messageId": job, "streamId": stream_id.decode(), "stream": f"{streams.normal}-high"}
    assert fields[b"messageId"].decode() == job
    assert fields[b"type"] == b"noop"
    assert json.loads(fields[b"data"]) == {"n": 1}
    assert (fields[b"generation"], fields[b"attempt"]) == (b"1", b"1")
    assert b"traceparent" in fields


async def test_many_publishes_of_one_leg_make_one_entry(streams: Streams) -> None:
    job = await streams.accept()
    answers = await asyncio.gather(*(streams.publisher.publish([LegRef(job, 1)]) for _ in range(20)))
    assert await streams.length() == 1
    receipts = {str(answer[0].receipt) for answer in answers}  # type: ignore[union-attr]
    assert len(receipts) == 1


async def test_an_unknown_leg_is_an_error_of_its_own(streams: Streams) -> None:
    job = await streams.accept()
    bad, good = await streams.publisher.publish([LegRef("nobody", 1), LegRef(job, 1)])
    assert isinstance(bad, Exception)
    assert not isinstance(good, Exception) and good.state == State.QUEUED


async def test_ids_are_unique_over_all_levels_while_others_write_ahead_of_the_clock(streams: Streams) -> None:
    """As when the clock was set back, or somebody else wrote: the next id that the stream takes is a later one."""
    ahead = await streams.now_ms() + 3_600_000
    await streams.redis.xadd(streams.normal, {"x": "y"}, id=f"{ahead}-5")
    await streams.redis.xadd(f"{streams.normal}-low", {"x": "y"}, id=f"{ahead}-5")
    await streams.redis.xadd(f"{streams.normal}-high", {"x": "y"}, id=f"{ahead}-9000000")
    jobs = [await streams.send(priority=level) for _ in range(20) for level in LEVELS]
    ids = [await streams.stream_id(job) for job in jobs]
    assert len(set(ids)) == len(jobs)
    for level in LEVELS:
        of_level = ids[LEVELS.index(level) :: 4]
        assert of_level == sorted(of_level, key=lambda one: tuple(map(int, one.split("-"))))
    for job, stream_id in zip(jobs, ids, strict=True):
        found = await streams.publisher.message(stream_id)
        assert found and found.id == job


async def test_a_sequence_too_long_for_lua_is_left_to_redis(streams: Streams) -> None:
    ahead = await streams.now_ms() + 3_600_000
    await streams.redis.xadd(streams.normal, {"x": "y"}, id=f"{ahead}-{2**63}")
    job = await streams.send()
    assert await streams.stream_id(job) == f"{ahead}-{2**63 + 1}"
    found = await streams.publisher.message(f"{ahead}-{2**63 + 1}")
    assert found and found.id == job


async def test_every_stream_id_of_a_message_leads_to_it(streams: Streams) -> None:
    job = await streams.send()
    ids = [await streams.stream_id(job)]
    for attempt in (1, 2):
        (entry,) = await streams.take("w1", 1)
        claim = await streams.claim(job)
        assert claim.attempt == attempt
        await streams.call("stream_retry", entry.stream, entry.id, job, claim.token, "boom", 0)
        ids.append(await streams.stream_id(job))
    assert len(set(ids)) == 3
    assert await streams.length() == 1  # the older copies are gone, their ids still lead here
    for stream_id in ids:
        found = await streams.publisher.message(stream_id)
        assert found and found.id == job


async def test_the_ids_go_with_the_record(streams: Streams) -> None:
    gone, kept = await streams.send(), await streams.send()
    stream_id = await streams.stream_id(gone)
    await streams.redis.delete(streams.key(f"job:{gone}"))
    assert await streams.publisher.message(stream_id) is None
    shards = streams.key("stream:ids")
    (shard,) = await streams.redis.zrange(shards, 0, -1)
    await streams.redis.zadd(shards, {shard: 0})  # its time to be looked through
    assert await streams.call("stream_forget", 10) == [1]
    assert await streams.redis.hvals(shard) == [kept.encode()]
    await streams.redis.delete(streams.key(f"job:{kept}"))
    assert await streams.call("stream_forget", 10) == [0]  # not before its next turn
    await streams.redis.zadd(shards, {shard: 0})
    await streams.call("stream_forget", 10)
    assert not await streams.redis.exists(shard, shards)


async def test_a_delayed_message_waits_among_the_due(streams: Streams) -> None:
    job = await streams.send(delay=60_000)
    leg = await streams.leg(job)
    assert leg.state == "delayed"
    assert leg.receipt == {"messageId": job, "stream": streams.normal}
    assert await streams.length() == 0
    stats = await streams.publisher.stats()
    assert (stats["due"], stats["backlog"], stats["scheduled"]) == (1, 1, 1)
    await streams.redis.zadd(streams.key("stream:due"), {job: 1})
    assert (await streams.publisher.stats())["scheduled"] == 0, "it may start now"
    found = await streams.publisher.message(job)
    assert found and found.id == job


async def test_the_mover_goes_by_redis_time_and_is_never_early(streams: Streams) -> None:
    job = await streams.send(delay=400)

    async def promoted() -> bool:
        await streams.call("stream_promote", 10)
        return await streams.length() == 1

    await eventually(promoted, "the message to be promoted")
    leg = await streams.leg(job)
    assert int((await streams.stream_id(job)).split("-")[0]) >= leg.due
    assert leg.state == "queued"
    assert await streams.redis.zcard(streams.key("stream:due")) == 0


async def test_what_was_cancelled_leaves_the_due_set_before_its_time(streams: Streams) -> None:
    cancelled, kept = await streams.send(delay=60_000), await streams.send(delay=60_000)
    await streams.redis.hset(streams.key(f"job:{cancelled}"), "redisStreams.state", "cancelled")
    assert await streams.call("stream_prune", "0", 100) == [b"0"]
    assert await streams.redis.zrange(streams.key("stream:due"), 0, -1) == [kept.encode()]


@pytest.mark.parametrize("state", ["completed", "dead", "cancelling", "cancelled"])
async def test_a_row_of_a_leg_that_has_ended_is_dropped(streams: Streams, state: str) -> None:
    job = await streams.accept()
    await streams.redis.hset(streams.key(f"job:{job}"), "redisStreams.state", state)
    (answer,) = await streams.publisher.publish([LegRef(job, 1)])
    assert not isinstance(answer, Exception) and answer.state == state
    assert await streams.length() == 0
    assert await streams.redis.zcard(streams.key("outbox:redisStreams")) == 0


async def test_a_dead_job_starts_over_and_its_letter_goes(streams: Streams) -> None:
    job = await streams.send()
    (entry,) = await streams.take("w1", 1)
    claim = await streams.claim(job)
    await streams.call("stream_bury", entry.stream, entry.id, job, "noop", '{"n":1}', "broken", claim.token)
    (letter,) = await streams.publisher.dead_letters()
    assert letter["originalMessageId"] == job
    assert (letter["originalStream"], letter["originalStreamId"]) == (entry.stream, entry.id)
    assert (letter["error"], letter["data"]) == ("broken", {"n": 1})
    assert letter["failedAt"].endswith("Z")
    answer = await streams.publisher.redrive(job)
    assert not isinstance(answer, str) and answer.state == State.QUEUED
    assert await streams.publisher.dead_letters() == []
    assert await streams.taken_ids("w1", 1) == [job]
    assert await streams.publisher.redrive(job) == "queued"
    assert await streams.publisher.redrive("nobody") == "unknown"
