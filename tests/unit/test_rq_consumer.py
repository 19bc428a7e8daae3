"""What the RQ consumer does beside the contract: fairness, waking, abandoned jobs, outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.exceptions import RedisError

from booking_queue.backends.rq.consumer import RqConsumer
from booking_queue.backends.slots import Slots
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.settings import Settings
from tests.brokers import BrokerFactory
from tests.contract.worker import eventually
from tests.unit.rq_side import Both, both_of


@pytest.fixture
async def both(redis_settings: Settings) -> AsyncIterator[Both]:
    async with both_of(redis_settings) as both:
        yield both


async def take(both: Both, count: int, starts: int = 0, worker: str = "w1") -> list[str]:
    rows = await both.lane.scripts.call("rq_take", worker, count, starts)
    return [row[0].decode() for row in rows]


async def test_every_twentieth_start_is_a_lower_levels_and_they_take_turns(both: Both) -> None:
    lower = {level: await both.lane.send(priority=level) for level in ("low", "normal", "high")}
    critical = [await both.lane.send(priority="critical") for _ in range(70)]
    started = [job_id for n in range(4) for job_id in await take(both, 16, 16 * n)]
    assert [started.index(lower[level]) + 1 for level in ("low", "normal", "high")] == [20, 40, 60]
    assert [job_id for job_id in started if job_id in critical] == critical[:61]


async def test_a_turn_that_finds_no_lower_level_is_not_lost(both: Both) -> None:
    critical = [await both.lane.send(priority="critical") for _ in range(3)]
    assert await take(both, 3, starts=18) == critical


async def test_a_peek_moves_nothing(both: Both) -> None:
    """Waiting consumers without a free slot among them: the queue stays as it is."""
    jobs = [await both.lane.send("gated") for _ in range(6)]
    for _ in range(3):
        await both.lane.worker(slots=1)
    await eventually(lambda: running(both, 3), "three jobs to run")
    assert sorted(both.rq.queue().job_ids) == sorted(set(jobs) - set(both.lane.journal.started))
    assert both.rq.queue().job_ids == [job for job in jobs if job not in both.lane.journal.started]
    both.lane.journal.gate.set()
    for job_id in jobs:
        await both.lane.reach(job_id, "completed")


async def test_an_idle_consumer_is_woken_and_does_not_poll(both: Both) -> None:
    """Stopping the clock of its fallback leaves the peek alone to wake it."""
    consumer = RqConsumer(both.lane.settings, both.lane.scripts, "w1")
    got = asyncio.Event()

    async def handle(delivery: Any) -> None:
        await delivery.ack(None)
        got.set()

    stop = asyncio.Event()
    task = asyncio.create_task(consumer.run(handle, Slots(1), stop))
    for level in ("normal", "low", "critical"):
        await eventually(lambda: blocked(both), "the consumer to wait")
        took = asyncio.get_running_loop().time()
        await both.lane.send(priority=level)
        await asyncio.wait_for(got.wait(), 10)
        assert asyncio.get_running_loop().time() - took < 0.9, "it polled"
        got.clear()
    stop.set()
    await asyncio.wait_for(task, 10)


async def test_jobs_that_come_with_the_stop_are_given_back(both: Both) -> None:
    jobs = [await both.lane.send() for _ in range(3)]
    stop = asyncio.Event()
    consumer = RqConsumer(both.lane.settings, both.lane.scripts, "w1")
    ask = both.lane.scripts.call

    async def stop_meanwhile(op: str, *args: Any) -> Any:
        answer = await ask(op, *args)
        if op == "rq_take":
            stop.set()
        return answer

    both.lane.scripts.call = stop_meanwhile  # type: ignore[method-assign]
    handled: list[Any] = []

    async def handle(delivery: Any) -> None:
        handled.append(delivery)

    await asyncio.wait_for(consumer.run(handle, Slots(2), stop), 10)
    assert handled == []
    assert sorted(both.rq.queue().job_ids) == sorted(jobs)
    assert started(both) == []


async def test_it_survives_the_absence_of_redis(redis_settings: Settings, broker_factory: BrokerFactory) -> None:
    broker = broker_factory.redis("always")
    place = {"redis_host": broker.host, "redis_port": broker.port, "redis_password": broker.password}
    async with both_of(redis_settings.model_copy(update=place)) as both:
        await both.lane.worker()
        first = await both.lane.send()
        await both.lane.reach(first, "completed")
        broker.kill()
        with pytest.raises(RedisError):
            both.rq.redis.ping()
        broker.start()
        await eventually(lambda: answers(both), "the ledger to answer again")
        second = await both.lane.send()
        await both.lane.reach(second, "completed")
        assert both.lane.journal.started == [first, second]


def started(both: Both) -> list[bytes]:
    return list(both.rq.redis.zrange(f"rq:wip:{both.rq.name()}", 0, -1))  # type: ignore[arg-type]


async def answers(both: Both) -> bool:
    try:
        await both.lane.ledger.get("none")
    except LedgerUnavailable:
        return False
    return True


async def running(both: Both, count: int) -> bool:
    return both.lane.journal.running == count


async def blocked(both: Both) -> bool:
    """A peek a queue waits in the server."""
    return int(both.rq.redis.info("clients")["blocked_clients"]) >= 4
