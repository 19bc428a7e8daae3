"""Reading the log again, on a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from booking_queue.backends.kafka.replay import LOCK_SECONDS, Replayer, Span
from booking_queue.backends.kafka.topics import PARTITIONS, Topics
from booking_queue.clock import iso, now_ms
from booking_queue.ledger.connection import connect
from booking_queue.ledger.ledger import Ledger
from booking_queue.ledger.script import Scripts
from booking_queue.settings import Settings
from kafka_service.app import build
from tests.contract.lanes import Lane, lane_of
from tests.contract.worker import eventually
from tests.services.live_app import Live, live


@pytest.fixture
async def lane(settings: Settings) -> AsyncIterator[Lane]:
    async with lane_of("kafka", settings) as lane:
        yield lane


@pytest.fixture
async def service(settings: Settings) -> AsyncIterator[Live]:
    async with live(build(settings)) as found:
        yield found


async def replay(service: Live, **body: Any) -> Any:
    answer = await service.http.post("/replay", json=body)
    assert answer.status_code == 202, answer.text
    path = f"/replay/{answer.json()['replayId']}"

    async def ended() -> Any:
        told = (await service.http.get(path)).json()
        return told if told["status"] != "running" else None

    return await eventually(ended, "the replay to end", patience=30)


async def lose(lane: Lane, *jobs: str) -> None:
    """As if a worker had committed their offsets without doing them."""
    worker = await lane.worker(wrap=lambda _: _drop)

    async def _done() -> bool:
        return bool((await lane.publisher.stats())["backlog"] == 0)

    await eventually(_done, "the log to be committed")
    await worker.leave()
    for job in jobs:
        assert (await lane.leg(job)).state == "queued"


async def _drop(delivery: Any) -> None:
    await delivery.ack(None)


async def test_a_report_compares_the_log_with_the_ledger_and_changes_nothing(lane: Lane, service: Live) -> None:
    lost = [await lane.send() for _ in range(3)]
    await lose(lane, *lost)
    await lane.put_raw(b"no envelope")
    worker = await lane.worker()
    done = [await lane.send() for _ in range(4)]
    for job in done:
        await lane.reach(job, "completed")
    await lane.idle()
    told = await replay(service, **{"from": 0})
    assert (told["status"], told["read"], told["ran"], told["skipped"]) == ("done", 8, 0, 8)
    assert told["found"] == {"queued": 3, "completed": 4, "unreadable": 1}
    assert [(await lane.leg(job)).state for job in lost] == ["queued"] * 3
    await worker.leave()


async def test_missing_runs_what_never_had_an_outcome_and_nothing_else(lane: Lane, service: Live) -> None:
    lost = [await lane.send() for _ in range(3)]
    await lose(lane, *lost)
    worker = await lane.worker()
    done = await lane.send()
    await lane.reach(done, "completed")
    told = await replay(service, **{"from": "2020-01-01T00:00:00Z", "mode": "missing"})
    assert (told["ran"], told["skipped"]) == (3, 1)
    await lane.deliver_outbox()
    for job in lost:
        assert (await lane.reach(job, "completed")).attempts == 1
    assert sorted(lane.journal.started) == sorted([*lost, done])
    await worker.leave()


async def test_a_part_is_chosen_by_time(lane: Lane, service: Live) -> None:
    await lane.send()
    await asyncio.sleep(0.05)
    middle = now_ms()
    late = [await lane.send() for _ in range(2)]
    assert (await replay(service, **{"from": iso(middle)}))["read"] == len(late)
    assert (await replay(service, **{"from": "2020-01-01T00:00:00Z", "to": iso(middle)}))["read"] == 1
    assert (await replay(service, **{"from": "1970-01-01T00:00:00Z"}))["read"] == 3
    assert (await replay(service, **{"from": iso(now_ms() + 60_000)}))["read"] == 0
    told = await replay(service, **{"from": "9999-12-31T23:59:59-14:00"})  # in UTC the year 10,000
    assert (told["status"], told["read"]) == ("done", 0)


async def test_one_that_was_frozen_leaves_the_next_one_s_lock_alone(redis_settings: Settings) -> None:
    redis = connect(redis_settings)
    replayer = Replayer(redis_settings, Topics(redis_settings), Ledger(Scripts(redis, redis_settings)))
    told = await replayer.start(Span("booking-events", None, 0, None, by_time=False, run_missing=False))
    lock = f"{redis_settings.key_prefix}:replay:lock"
    await redis.set(lock, "the next one", ex=100)  # as if this one's time had passed

    async def ended() -> bool:
        return bool((await replayer.find(told["replayId"]) or told)["status"] == "failed")  # without a Kafka

    await eventually(ended, "the replay to end")
    await replayer.close()
    assert await redis.get(lock) == b"the next one" and await redis.ttl(lock) > LOCK_SECONDS
    await redis.aclose()


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["from"]),
        ({"from": -1}, ["from"]),
        ({"from": "2020-01-01", "to": "2020-01-01T00:00:00"}, ["from", "to"]),
        ({"from": 0, "to": "2020-01-01T00:00:00Z"}, ["to"]),
        ({"from": 0, "mode": "all"}, ["mode"]),
        ({"from": 0, "topic": "somebody-elses"}, ["topic"]),
        ({"from": 0, "partition": PARTITIONS}, ["partition"]),
        ({"from": "0001-01-01T00:00:00+14:00", "to": "1969-12-31T23:59:59Z"}, ["from", "to"]),
    ],
)
async def test_what_cannot_be_replayed_is_refused(service: Live, body: Any, fields: list[str]) -> None:
    answer = await service.http.post("/replay", json=body)
    assert answer.status_code == 400, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == fields


async def test_what_is_no_replay_is_not_found(service: Live, settings: Settings) -> None:
    redis = connect(settings)
    await redis.set(f"{settings.key_prefix}:replay:lock", str(uuid4()))  # as while one runs
    for replay_id in ("nobody", "lock", str(uuid4())):
        assert (await service.http.get(f"/replay/{replay_id}")).status_code == 404, replay_id
    await redis.aclose()
