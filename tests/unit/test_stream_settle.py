"""The verbs of a delivery, as far as the contract of all backends does not test them already."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from booking_queue.backends.stream import consumer, tender
from booking_queue.backends.stream.delivery import Entry, StreamDelivery
from booking_queue.settings import Settings
from tests.unit.stream_lane import Streams, completed, eventually, holding, streams_of, worker_of


@pytest.fixture
async def streams(redis_settings: Settings) -> AsyncIterator[Streams]:
    async with streams_of(redis_settings.model_copy(update={"lease_seconds": 600})) as streams:
        yield streams


def delivery_of(streams: Streams, entry: Entry, name: str) -> StreamDelivery:
    return StreamDelivery(entry, entry.envelope(), streams.scripts, name)


async def in_hand(streams: Streams, name: str = "w1", **options: Any) -> tuple[str, StreamDelivery, Entry]:
    job = await streams.send(**options)
    (entry,) = await streams.take(name, 1)
    return job, delivery_of(streams, entry, name), entry


async def steal(streams: Streams, entry: Entry, name: str) -> None:
    await streams.redis.xclaim(entry.stream, streams.names.group, name, 0, [entry.id])


async def holder(streams: Streams) -> list[str]:
    return [row[1] for row in await streams.pending()]


async def test_extend_renews_what_is_ours(streams: Streams) -> None:
    job, delivery, entry = await in_hand(streams)
    claim = await streams.claim(job)
    await streams.redis.xclaim(entry.stream, streams.names.group, "w1", 0, [entry.id], idle=50_000, justid=True)
    await streams.redis.hset(streams.key(f"job:{job}"), "redisStreams.lease", 1)
    assert await delivery.extend(claim)
    assert (await streams.pending())[0][2] < 50_000
    lease = await streams.redis.hget(streams.key(f"job:{job}"), "redisStreams.lease")
    assert int(lease) > await streams.now_ms()


async def test_extend_does_not_steal_back_what_another_has(streams: Streams) -> None:
    job, delivery, entry = await in_hand(streams)
    await steal(streams, entry, "w2")
    assert not await delivery.extend(None)
    assert await holder(streams) == ["w2"]
    claim = await streams.claim(job)
    assert await delivery.extend(claim)  # the ledger is the truth: the other copy finds it busy
    assert await holder(streams) == ["w2"]


async def test_release_leaves_what_another_has(streams: Streams) -> None:
    _, delivery, entry = await in_hand(streams)
    await steal(streams, entry, "w2")
    await delivery.release(None)
    assert (await streams.pending())[0][2] < 60_000


@pytest.fixture
def only_when_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consumers look at what others let lie, and the mover at what is due, when they are told to; else not for long."""
    monkeypatch.setattr(tender, "ROUND_SECONDS", 600)
    monkeypatch.setattr(consumer, "LOOK_SECONDS", 600)


@pytest.mark.usefixtures("only_when_woken")
async def test_a_released_message_is_started_elsewhere_at_once(streams: Streams) -> None:
    job, delivery, _ = await in_hand(streams)
    claim = await streams.claim(job)
    async with worker_of(streams, "w2") as other:
        await completed(streams, await streams.send())  # it has had its first look
        await delivery.release(claim)
        await completed(streams, job)
        assert other.started[1:] == [job]


@pytest.mark.usefixtures("only_when_woken")
async def test_what_a_leaving_consumer_still_holds_is_free_at_once(streams: Streams) -> None:
    job, _, _ = await in_hand(streams, "w1")
    async with worker_of(streams, "w2"):
        await completed(streams, await streams.send())
        assert await streams.call("stream_leave", "w1") == [1]
        await completed(streams, job)
    assert "w1" in [each["name"] for each in await streams.publisher.consumers()]  # w2 took it after w1 had left


async def test_a_consumer_that_holds_nothing_takes_its_name_with_it(streams: Streams) -> None:
    async with worker_of(streams, "w1") as worker:
        await completed(streams, await streams.send())
        assert [each["name"] for each in await streams.publisher.consumers()] == ["w1"]
        await worker.leave()
    assert await streams.publisher.consumers() == []


async def test_ack_leaves_the_entry_to_be_looked_at(streams: Streams) -> None:
    job, delivery, entry = await in_hand(streams)
    assert await delivery.ack(await streams.claim(job), {"ok": True})
    assert await streams.pending() == []
    assert await streams.length() == 1
    (shown,) = await streams.publisher.messages()
    assert (shown["messageId"], shown["streamId"], shown["data"]) == (job, entry.id, {"n": 1})


async def test_an_older_copy_is_taken_off_without_touching_the_ledger(streams: Streams) -> None:
    job, delivery, _ = await in_hand(streams)
    assert await delivery.ack(None)
    assert await streams.pending() == []
    assert (await streams.leg(job)).state == "queued"


@pytest.mark.parametrize("groups", [1, 2])
async def test_a_retried_message_leaves_its_place_unless_another_group_reads_it(streams: Streams, groups: int) -> None:
    if groups == 2:
        assert await streams.publisher.create_group("audit", "0")
    job, delivery, _ = await in_hand(streams)
    assert await delivery.retry(await streams.claim(job), "boom", 60_000)
    assert await streams.length() == groups - 1
    leg = await streams.leg(job)
    assert (leg.state, leg.generation, leg.attempts) == ("retrying", 2, 1)
    assert await streams.redis.zscore(streams.key("stream:due"), job) == leg.due
    assert await streams.pending() == []


async def test_a_retry_without_delay_is_back_at_once(streams: Streams) -> None:
    job, delivery, _ = await in_hand(streams)
    assert await delivery.retry(await streams.claim(job), "boom", 0)
    (entry,) = await streams.take("w1", 1)
    envelope = entry.envelope()
    assert (envelope.id, envelope.generation, envelope.attempt) == (job, 2, 2)
    assert entry.id == await streams.stream_id(job)


@pytest.mark.usefixtures("only_when_woken")
async def test_a_retry_wakes_the_mover_when_it_is_due_first(streams: Streams) -> None:
    async with worker_of(streams, "w1", gated=True) as worker:
        job = await streams.send()
        await holding(worker, 1)
        delivery, claim = worker.held[0]
        assert await delivery.retry(claim, "boom", 150)
        worker.gate.set()
        await completed(streams, job)
        assert worker.started == [job, job]
        leg = await streams.leg(job)
        assert leg.started is not None and int((await streams.stream_id(job)).split("-")[0]) >= leg.due


async def test_one_entry_makes_one_dead_letter_whoever_buries_it(streams: Streams) -> None:
    job, delivery, entry = await in_hand(streams)
    assert await delivery.bury(None, "expired")
    assert not await delivery_of(streams, entry, "w2").bury(None, "expired")
    (letter,) = await streams.publisher.dead_letters()
    assert (letter["originalMessageId"], letter["error"], letter["data"]) == (job, "expired", {"n": 1})
    assert (await streams.leg(job)).state == "queued"
    assert await streams.length() == 0


async def test_a_verb_under_a_lost_claim_leaves_the_message_where_it_is(streams: Streams) -> None:
    job, delivery, entry = await in_hand(streams)
    claim = await streams.claim(job)
    await streams.redis.hset(streams.key(f"job:{job}"), "redisStreams.token", "999")
    assert not await delivery.extend(claim)
    assert not await delivery.ack(claim)
    assert not await delivery.retry(claim, "boom", 0)
    assert not await delivery.bury(claim, "boom")
    await delivery.release(claim)
    ((stream_id, name, idle, _),) = await streams.pending()
    assert (stream_id, name) == (entry.id, "w1") and idle < 60_000
    assert await streams.publisher.dead_letters() == []


async def test_a_job_may_ask_to_be_hidden_when_it_is_done(streams: Streams) -> None:
    job, delivery, entry = await in_hand(streams, removeOnComplete=True)
    assert await streams.publisher.message(job)
    assert await delivery.ack(await streams.claim(job))
    assert await streams.publisher.message(job) is None
    assert await streams.publisher.message(entry.id) is None
    assert await streams.publisher.messages() == []
    assert (await streams.leg(job)).state == "completed"


async def test_of_jobs_that_count_only_the_newest_can_be_seen(streams: Streams) -> None:
    jobs = []
    for _ in range(4):
        job, delivery, _ = await in_hand(streams, removeOnComplete={"count": 2})
        assert await delivery.ack(await streams.claim(job))
        jobs.append(job)
        await next_ms(streams)
    seen = [job for job in jobs if await streams.publisher.message(job)]
    assert seen == jobs[2:]


async def test_a_count_hides_no_other_tenant_s_jobs_and_one_of_none_its_own_alone(streams: Streams) -> None:
    jobs = []
    for tenant, count in (("acme", 2), ("globex", 1), ("", 1), ("acme", 0)):
        job, delivery, _ = await in_hand(streams, tenant=tenant, removeOnComplete={"count": count})
        assert await delivery.ack(await streams.claim(job))
        jobs.append(job)
    assert [bool(await streams.publisher.message(job)) for job in jobs] == [True, True, True, False]


async def next_ms(streams: Streams) -> None:
    then = await streams.now_ms()

    async def moved_on() -> bool:
        return await streams.now_ms() > then

    await eventually(moved_on, "the clock to move on")


async def test_a_dead_job_can_be_hidden_by_its_age(streams: Streams) -> None:
    job, delivery, _ = await in_hand(streams, removeOnFail={"age": 100})
    assert await delivery.bury(await streams.claim(job), "broken")
    assert await streams.publisher.message(job)
    finished = await streams.now_ms() - 101_000
    await streams.redis.hset(streams.key(f"job:{job}"), "redisStreams.finished", finished)
    assert await streams.publisher.message(job) is None
    assert len(await streams.publisher.dead_letters()) == 1
