"""Kafka away: at start, killed, stopped, frozen. Posts are answered, and everything runs once it is back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from booking_queue.backends.kafka_topic import KafkaPublisher
from booking_queue.domain.errors import BackendUnavailable
from booking_queue.settings import Settings
from kafka_service.app import build
from local.broker_process import KafkaProcess
from local.probe import kafka_answers
from tests.broker_containers import KafkaContainer
from tests.brokers import BrokerFactory, RestartableKafka
from tests.contract.lanes import Lane, lane_of
from tests.contract.worker import eventually
from tests.services.live_app import Live, live

JOB = {"type": "noop", "data": {"test": True}}
HANG_SECONDS = 10  # as is promised; how fast it is, the fault lab measures
AGAIN_SECONDS = 120  # for a JVM to come up on a busy machine


@pytest.fixture(scope="module")
def one_kafka() -> Iterator[RestartableKafka]:
    factory = BrokerFactory()
    yield factory.kafka()
    factory.close()


@pytest.fixture
def kafka(one_kafka: RestartableKafka) -> RestartableKafka:
    if not kafka_answers(one_kafka.host, one_kafka.port):
        one_kafka.start()
    return one_kafka


@pytest.fixture
def own(redis_settings: Settings, kafka: RestartableKafka) -> Settings:
    return redis_settings.model_copy(update={"kafka_broker": kafka.broker, "lease_seconds": 5, "heartbeat_seconds": 1})


@asynccontextmanager
async def all_of(settings: Settings) -> AsyncIterator[tuple[Live, Lane]]:
    async with lane_of("kafka", settings) as lane, live(build(settings)) as service:
        yield service, lane


async def posts(service: Live, count: int, status: str) -> list[str]:
    """All at once; each is answered in time."""

    async def one() -> str:
        began = time.monotonic()
        answer = await service.http.post("/messages", json=JOB)
        assert time.monotonic() - began < HANG_SECONDS
        assert (answer.status_code, answer.json()["status"]) == (201, status)
        return str(answer.json()["messageId"])

    return await asyncio.gather(*(one() for _ in range(count)))


async def unavailable(service: Live) -> None:
    for path in ("/stats", "/topics", "/groups", "/dead-letters"):
        async with asyncio.timeout(HANG_SECONDS):
            answer = await service.http.get(path)
        assert answer.status_code == 503, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"]
    health = await service.http.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "error")


async def works_again(service: Live, lane: Lane, waiting: list[str]) -> None:
    """By itself: nobody touches the service or the worker; the reconciler sends what waits."""

    async def queued() -> bool:
        return bool((await service.http.post("/messages", json=JOB)).json()["status"] == "queued")

    await eventually(queued, "a post to reach Kafka again", AGAIN_SECONDS)

    async def drained() -> bool:
        await lane.deliver_outbox()
        return all([(await lane.leg(job)).state == "completed" for job in waiting])

    await eventually(drained, "all that waited to be run", AGAIN_SECONDS)
    assert (await service.http.get("/health")).status_code == 200


async def test_kafka_away_at_the_start(own: Settings, kafka: RestartableKafka) -> None:
    kafka.kill()
    began = time.monotonic()
    async with all_of(own) as (service, lane):
        assert time.monotonic() - began < HANG_SECONDS
        await lane.worker()
        waiting = await posts(service, 20, "pending")
        await unavailable(service)
        await asyncio.to_thread(kafka.start)
        await works_again(service, lane, waiting)


async def test_kafka_goes_and_comes_back_twice_under_a_running_job(own: Settings, kafka: RestartableKafka) -> None:
    async with all_of(own) as (service, lane):
        await lane.worker(slots=8)
        gated = await lane.send("gated", timeout=600_000)
        await lane.reach(gated, "active")
        for go in (kafka.kill, kafka.stop):
            for job in await posts(service, 5, "queued"):
                await lane.reach(job, "completed")
            await asyncio.to_thread(go)
            waiting = await posts(service, 20, "pending")
            waiting += await posts(service, 20, "pending")
            await unavailable(service)
            await asyncio.to_thread(kafka.start)
            await works_again(service, lane, waiting)
        lane.journal.gate.set()
        await lane.reach(gated, "completed")
        assert lane.journal.started.count(gated) == 1
        assert len(lane.journal.started) == len(set(lane.journal.started))
        await lane.idle()


def freeze(kafka: RestartableKafka) -> None:
    if isinstance(kafka, KafkaProcess):
        os.kill(kafka.pid, signal.SIGSTOP)
    elif isinstance(kafka, KafkaContainer) and kafka._container:
        kafka._container.get_wrapped_container().pause()


def thaw(kafka: RestartableKafka) -> None:
    if isinstance(kafka, KafkaProcess):
        os.kill(kafka.pid, signal.SIGCONT)
    elif isinstance(kafka, KafkaContainer) and kafka._container:
        kafka._container.get_wrapped_container().unpause()


async def test_a_kafka_that_takes_connections_and_says_nothing(own: Settings, kafka: RestartableKafka) -> None:
    async with all_of(own) as (service, lane):
        await lane.worker(slots=8)
        await posts(service, 5, "queued")
        freeze(kafka)
        try:
            waiting = await posts(service, 20, "pending")
            waiting += await posts(service, 20, "pending")
            await unavailable(service)
        finally:
            thaw(kafka)
        await works_again(service, lane, waiting)
        await lane.idle()


async def test_a_wedged_producer_is_replaced(own: Settings) -> None:
    """After a batch was refused, aiokafka counts on from it, and the broker takes nothing more of that partition."""
    async with lane_of("kafka", own) as lane:
        publisher = lane.publisher
        assert isinstance(publisher, KafkaPublisher)

        async def all_partitions_used() -> bool:
            await lane.publish(await lane.accept())
            producer = publisher._sender._producer
            return producer is not None and len(producer._txn_manager._sequence_numbers) == 3

        await eventually(all_partitions_used, "a message in each partition")
        producer = publisher._sender._producer
        numbers = producer._txn_manager._sequence_numbers
        for partition in list(numbers):
            numbers[partition] += 5  # as if five messages had got lost
        jobs = [await lane.accept() for _ in range(9)]

        async def sent() -> bool:
            return all([(await lane.publish(job)).state == "queued" for job in jobs])

        await eventually(sent, "the publisher to work again")
        assert publisher._sender.rebuilt
        assert publisher._sender._producer is not producer


async def test_a_publisher_that_cannot_reach_kafka_says_so(redis_settings: Settings) -> None:
    async with lane_of("kafka", redis_settings) as lane:
        job = await lane.accept()
        assert (await lane.publish(job)).state == "pending"
        assert (await lane.publisher.lookup(job) or {})["offset"] is None
        with pytest.raises(BackendUnavailable):
            await lane.publisher.stats()


async def test_retries_and_dead_letters_while_kafka_is_away_are_sent_afterwards(
    own: Settings, kafka: RestartableKafka
) -> None:
    async with all_of(own) as (service, lane):
        worker = await lane.worker(slots=8)
        retried = await lane.send("gated", fails=1, timeout=600_000, backoff={"type": "fixed", "delay": 1000})
        buried = await lane.send("gated", fails=9, attempts=1, timeout=600_000)
        for job in (retried, buried):
            await lane.reach(job, "active")
        kafka.kill()
        lane.journal.gate.set()
        await lane.reach(retried, "retrying")
        await lane.reach(buried, "dead")
        await asyncio.to_thread(kafka.start)
        await works_again(service, lane, [retried])

        async def letters() -> list[dict[str, Any]]:
            await lane.deliver_outbox()
            return await lane.publisher.dead_letters()

        found = await eventually(letters, "the dead letter", AGAIN_SECONDS)
        assert [letter["messageId"] for letter in found] == [buried]
        assert "asked to fail" in found[0]["error"]
        await lane.idle()
        began = time.monotonic()
        kafka.kill()
        await worker.leave()
        assert time.monotonic() - began < 10, "a worker stops in time, Kafka or not"
