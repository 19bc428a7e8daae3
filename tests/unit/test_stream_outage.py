"""A Redis that goes, comes back, or comes back empty."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from booking_queue.backends.stream import consumer
from booking_queue.settings import Settings
from tests.brokers import BrokerFactory, RestartableRedis
from tests.unit.stream_lane import Streams, completed, eventually, holding, streams_of, surely, worker_of


@pytest.fixture
def server(broker_factory: BrokerFactory) -> RestartableRedis:
    return broker_factory.redis(appendfsync="always")


@pytest.fixture
async def streams(server: RestartableRedis, name_prefix: str) -> AsyncIterator[Streams]:
    settings = Settings(
        redis_host=server.host,
        redis_port=server.port,
        redis_password=server.password,
        key_prefix=name_prefix.rstrip("-"),
        name_prefix=name_prefix,
        lease_seconds=5,  # a claim whose answer was lost holds for so long
        heartbeat_seconds=1,
    )
    async with streams_of(settings) as streams:
        yield streams


async def alarms(streams: Streams) -> int:
    return int((await streams.publisher.stats())["alarms"]["groupsRecreated"])


async def test_a_destroyed_group_is_made_again_and_nothing_is_lost(streams: Streams) -> None:
    async with worker_of(streams, slots=2, gated=True) as worker:
        jobs = [await streams.send(priority=level) for level in ("low", "normal", "high", "critical") for _ in range(3)]
        await holding(worker, 2)
        for level in streams.names.levels:
            await streams.redis.xgroup_destroy(level, streams.names.group)
        worker.gate.set()
        await completed(streams, *jobs)
        assert await alarms(streams) == 4
        assert sorted(claim.job_id for _, claim in worker.held) == sorted(jobs)


async def test_a_destroyed_group_is_noticed_without_new_messages(streams: Streams) -> None:
    async with worker_of(streams, "w1", gated=True) as first:
        job = await streams.send()
        await holding(first, 1)
        await first.vanish()
    claim = first.held[0][1]
    assert await streams.ledger.release(claim)
    async with worker_of(streams, "w2"):
        await streams.redis.xgroup_destroy(streams.normal, streams.names.group)
        await completed(streams, job)


async def test_what_was_done_is_not_run_again_when_the_group_is_made_anew(streams: Streams) -> None:
    async with worker_of(streams, "w1") as worker:
        jobs = [await streams.send() for _ in range(5)]
        await completed(streams, *jobs)
        await streams.redis.xgroup_destroy(streams.normal, streams.names.group)

        async def seen_again() -> bool:
            return len(worker.started) == 10 and await streams.pending() == []

        await eventually(seen_again, "the copies to be acknowledged unrun")
        assert len(worker.held) == 5


async def test_an_emptied_redis_is_noticed_and_used_again(streams: Streams) -> None:
    async with worker_of(streams) as worker:
        await completed(streams, await streams.send())
        await streams.redis.flushall()

        async def noticed() -> bool:
            return await alarms(streams) >= 1

        await eventually(noticed, "the alarm")
        job = await streams.send()
        await completed(streams, job)
        assert worker.started[-1] == job


async def test_work_goes_on_by_itself_when_redis_comes_back(streams: Streams, server: RestartableRedis) -> None:
    async with worker_of(streams, slots=2) as worker:
        jobs = [await streams.send() for _ in range(4)]
        await completed(streams, *jobs)
        more = [await streams.send(delay=1) for _ in range(6)]
        server.kill()
        server.start()
        await completed(streams, *more)
        server.stop()
        server.start()
        last = await surely(streams.send)
        await completed(streams, last)
        assert set(worker.started) == {*jobs, *more, last}
        assert await alarms(streams) == 0


async def test_new_entries_wake_the_consumer_again_after_an_outage(
    streams: Streams, server: RestartableRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "LOOK_SECONDS", 600)
    async with worker_of(streams):
        await completed(streams, await streams.send())
        server.kill()
        server.start()
        for _ in range(3):
            await completed(streams, await surely(streams.send))


async def test_a_consumer_that_starts_while_redis_is_away_waits_for_it(
    streams: Streams, server: RestartableRedis
) -> None:
    job = await streams.send()
    server.stop()
    async with worker_of(streams) as worker:
        await worker.consumer.open()  # raises nothing
        server.start()
        await completed(streams, job)
