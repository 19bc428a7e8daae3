"""The Kafka service over HTTP, on a real Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from booking_queue.clock import now_ms
from booking_queue.settings import Settings
from kafka_service.app import build
from tests.contract.lanes import Lane, lane_of
from tests.contract.worker import eventually
from tests.services.live_app import Live, live

JOB = {"type": "noop", "data": {"test": True}}
DEAD = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
async def lane(settings: Settings) -> AsyncIterator[Lane]:
    async with lane_of("kafka", settings) as lane:
        yield lane


@pytest.fixture
async def service(settings: Settings) -> AsyncIterator[Live]:
    async with live(build(settings)) as found:
        yield found


async def get(service: Live, path: str, status: int = 200) -> Any:
    answer = await service.http.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


async def post(service: Live, path: str, body: Any, status: int = 201) -> Any:
    answer = await service.http.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def read(settings: Settings, topic: str, partition: int, offset: int) -> Any:
    reader = AIOKafkaConsumer(bootstrap_servers=settings.kafka_broker)
    await reader.start()
    try:
        reader.assign([TopicPartition(topic, partition)])
        reader.seek(TopicPartition(topic, partition), offset)
        return await asyncio.wait_for(reader.getone(), 10)
    finally:
        await reader.stop()


async def test_a_message_has_its_true_place(service: Live, settings: Settings) -> None:
    for _ in range(9):
        await post(service, "/messages", JOB)
    before = now_ms()
    posted = await post(service, "/messages", JOB)
    assert posted["status"] == "queued"
    assert posted["topic"] == f"{settings.name_prefix}booking-events"
    assert before - 1000 <= posted["timestamp"] <= now_ms() + 1000
    record = await read(settings, posted["topic"], posted["partition"], posted["offset"])
    assert record.key.decode() == posted["messageId"]
    assert dict(record.headers)["messageId"].decode() == posted["messageId"]
    urgent = await post(service, "/messages", JOB | {"options": {"priority": "critical"}})
    assert urgent["topic"] == f"{settings.name_prefix}booking-events-critical"


async def test_a_message_is_found_before_and_after_it_ran_and_after_a_restart(
    service: Live, settings: Settings, lane: Lane
) -> None:
    posted = await post(service, "/messages", JOB)
    path = f"/messages/{posted['messageId']}"
    found = await get(service, path)
    assert (found["status"], found["readable"], found["data"]) == ("queued", True, {"test": True})
    await lane.worker()
    await lane.reach(posted["messageId"], "completed")
    async with live(build(settings)) as another:
        found = await get(another, path)
    assert found["status"] == "completed"
    assert {name: found[name] for name in ("topic", "partition", "offset", "timestamp")} == {
        name: posted[name] for name in ("topic", "partition", "offset", "timestamp")
    }
    assert found["result"] == {"by": "w1", "attempt": 1}
    missing = await get(service, f"/messages/{DEAD}", 404)
    assert missing["error"] == "Message not found"


async def test_a_message_that_asked_to_be_removed_is_not_found_once_it_ended(service: Live, lane: Lane) -> None:
    await lane.worker()
    gone = [await lane.send(remove_on_complete=True), await lane.send(fails=1, attempts=1, remove_on_fail=True)]
    counted = [await lane.send(ordering_key="k", remove_on_complete={"count": 1}) for _ in range(3)]
    aged = await lane.send(remove_on_complete={"age": 3600})
    await lane.reach(gone[1], "dead")
    for job in (gone[0], *counted, aged):
        await lane.reach(job, "completed")
    statuses = [(await service.http.get(f"/messages/{job}")).status_code for job in (*gone, *counted, aged)]
    assert statuses == [404, 404, 404, 404, 200, 200]
    finished = now_ms() - 3_700_000
    await lane.redis.hset(f"{lane.settings.key_prefix}:job:{aged}", "kafka.finished", finished)
    await get(service, f"/messages/{aged}", 404)
    assert (await lane.leg(aged)).state == "completed", "the ledger keeps it"


async def test_bad_posts_are_refused_naming_the_fields(service: Live) -> None:
    assert (await post(service, "/messages", {}, 400))["error"] == "Missing type or data"
    unknown = await post(service, "/messages", {"type": "no-such-type", "data": {}}, 400)
    assert [error["field"] for error in unknown["errors"]] == ["type"]
    negative = await post(service, "/messages/delayed", JOB | {"delay": -1}, 400)
    assert [error["field"] for error in negative["errors"]] == ["delay"]


async def test_a_delayed_message_waits_in_the_outbox(service: Live, settings: Settings) -> None:
    posted = await post(service, "/messages/delayed", JOB | {"delay": 60_000})
    assert posted["status"] == "scheduled"
    assert posted["topic"] == f"{settings.name_prefix}booking-events"
    found = await get(service, f"/messages/{posted['messageId']}")
    assert (found["status"], found["offset"], found["readable"]) == ("delayed", None, False)
    assert found["topic"] == posted["topic"]
    stats = await get(service, "/stats")
    assert (stats["outbox"], stats["backlog"]) == (1, 0)


async def test_a_batch_answers_for_each_item(service: Live) -> None:
    items = [JOB, {"type": "noop"}, JOB | {"delay": 5000}, JOB | {"options": {"priority": "low"}}]
    answer = await post(service, "/messages/batch", {"items": items})
    assert (answer["accepted"], answer["refused"]) == (3, 1)
    assert [item["status"] for item in answer["items"]] == ["queued", "refused", "scheduled", "queued"]
    assert isinstance(answer["items"][0]["offset"], int)
    assert answer["items"][3]["topic"].endswith("-low")


async def test_publish_sends_what_the_ledger_holds(service: Live, lane: Lane) -> None:
    job = await lane.accept()
    answer = await post(
        service, "/publish", {"legs": [{"id": job, "generation": 1}, {"id": DEAD, "generation": 1}]}, 200
    )
    sent, unknown = answer["legs"]
    assert (sent["id"], sent["state"]) == (job, "queued")
    assert sent["receipt"]["offset"] >= 0
    assert (unknown["id"], unknown["state"], unknown["receipt"]) == (DEAD, "pending", None)
    again = await post(service, "/publish", {"legs": [{"id": job, "generation": 1}]}, 200)
    assert again["legs"] == [sent]


async def test_stats_tell_offsets_lag_and_members(service: Live, lane: Lane, settings: Settings) -> None:
    main = f"{settings.name_prefix}booking-events"
    jobs = [(await post(service, "/messages", JOB))["messageId"] for _ in range(7)]
    stats = await get(service, "/stats")
    assert stats["topic"] == main
    assert stats["stats"] == {"partitions": 3, "dlqPartitions": 1, "messagesInStore": 7, "dlqMessages": 0}
    assert (stats["backlog"], stats["lag"], stats["members"]) == (7, 7, [])
    mine = [at for at in stats["offsets"] if at["topic"] == main]
    assert sum(at["endOffset"] for at in mine) == sum(at["lag"] for at in mine) == 7
    assert {at["committed"] for at in mine} == {None}
    worker = await lane.worker()
    for job in jobs:
        await lane.reach(job, "completed")
    await lane.idle()
    stats = await get(service, "/stats")
    assert (stats["backlog"], stats["stats"]["messagesInStore"]) == (0, 7), "read, and kept"
    assert [member["worker"] for member in stats["members"]] == ["w1"]
    assert len(stats["members"][0]["partitions"]) == 30
    groups = (await get(service, "/groups"))["groups"]
    assert [(group["group"], group["state"]) for group in groups] == [
        (f"{settings.name_prefix}booking-workers", "Stable")
    ]
    await worker.leave()
    assert (await get(service, "/stats"))["members"] == []
    metrics = (await service.http.get("/metrics")).text
    assert f'kafka_consumergroup_lag{{consumergroup="{settings.name_prefix}booking-workers"' in metrics


async def test_topics_grow_and_what_goes_to_the_new_partitions_is_run(
    service: Live, lane: Lane, settings: Settings
) -> None:
    await lane.worker()
    main = f"{settings.name_prefix}booking-events"
    kinds = [topic["kind"] for topic in (await get(service, "/topics"))["topics"]]
    assert (kinds.count("level"), kinds.count("retry"), kinds.count("dead")) == (4, 6, 1)
    assert (await post(service, f"/topics/{main}/partitions", {"count": 3}, 400))["error"] == "Partitions can only grow"
    assert (await post(service, f"/topics/{main}/partitions", {"count": 0}, 400))["errors"][0]["field"] == "count"
    grown = await post(service, f"/topics/{main}/partitions", {"count": 5}, 200)
    assert grown == {"topic": main, "count": 5}

    async def five() -> bool:  # a broker may take a moment to tell
        found = await get(service, f"/topics/{main}/partitions")
        return [at["partition"] for at in found["partitions"]] == [0, 1, 2, 3, 4]

    await eventually(five, "five partitions")
    await get(service, "/topics/no-such/partitions", 404)
    await post(service, "/topics/__consumer_offsets/partitions", {"count": 99}, 404)
    deadline = time.monotonic() + 30
    while True:
        posted = await post(service, "/messages", JOB)
        if posted["partition"] >= 3:
            break
        assert time.monotonic() < deadline, "the producer never saw the new partitions"
        await asyncio.sleep(0.05)
    await lane.reach(posted["messageId"], "completed")


async def test_dead_letters_newest_first_and_redriven(service: Live, lane: Lane) -> None:
    await lane.worker()
    jobs = []
    for _ in range(3):
        jobs.append(await lane.send(fails=1, attempts=1))
        await lane.reach(jobs[-1], "dead")
    await lane.idle()
    while len(letters := (await get(service, "/dead-letters"))["deadLetters"]) < 3:
        await asyncio.sleep(0.05)
    assert [letter["messageId"] for letter in letters] == jobs[::-1]
    assert len((await get(service, "/dead-letters?count=2"))["deadLetters"]) == 2
    lane.journal.failures.clear()
    again = await post(service, f"/dead-letters/{jobs[0]}/redrive", {}, 202)
    assert again["state"] == "queued"
    assert (await lane.reach(jobs[0], "completed")).generation == 2
    await post(service, f"/dead-letters/{jobs[0]}/redrive", {}, 409)
    await post(service, f"/dead-letters/{DEAD}/redrive", {}, 404)


async def test_health_names_the_topic(service: Live, settings: Settings) -> None:
    health = await get(service, "/health")
    assert health["status"] == "ok"
    assert (health["topic"], health["broker"]) == (f"{settings.name_prefix}booking-events", "connected")
