"""The Redis Streams service over HTTP, with a worker's consumer behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from booking_queue.settings import Settings
from stream_service.app import build
from tests.services.live_app import Live, live
from tests.unit.stream_lane import Streams, completed, eventually, streams_of, worker_of

JOB: dict[str, Any] = {"type": "booking", "data": {"test": True}}


@pytest.fixture
async def streams(redis_settings: Settings) -> AsyncIterator[Streams]:
    async with streams_of(redis_settings) as streams:
        yield streams


@pytest.fixture
async def service(streams: Streams) -> AsyncIterator[Live]:
    async with live(build(streams.settings)) as found:
        yield found


async def get(service: Live, path: str, status: int = 200) -> Any:
    answer = await service.http.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


async def post(service: Live, path: str, body: Any, status: int = 201) -> Any:
    answer = await service.http.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_message_is_put_on_its_levels_stream(service: Live, streams: Streams) -> None:
    said = await post(service, "/messages", JOB | {"options": {"priority": "high"}})
    assert set(said) == {"messageId", "streamId", "stream", "status"}
    assert said["stream"] == f"{streams.normal}-high"
    assert said["status"] == "queued"
    ((stream_id, fields),) = await streams.redis.xrange(said["stream"])
    assert (stream_id.decode(), fields[b"messageId"].decode()) == (said["streamId"], said["messageId"])


@pytest.mark.parametrize(
    ("path", "body", "error", "fields"),
    [
        ("/messages", {}, "Missing type or data", {"type", "data"}),
        ("/messages", JOB | {"type": "unheard-of"}, None, {"type"}),
        ("/messages", JOB | {"data": []}, None, {"data"}),
        ("/messages/delayed", JOB, "Missing type, data or delay", {"delay"}),
        ("/messages/delayed", JOB | {"delay": -1}, None, {"delay"}),
        ("/groups", {}, "Missing required fields: name", {"name"}),
        ("/groups", {"name": "a b"}, None, {"name"}),
        ("/groups", {"name": "audit", "start": "yesterday"}, None, {"start"}),
    ],
)
async def test_a_bad_request_names_each_field(
    service: Live, path: str, body: Any, error: str | None, fields: set[str]
) -> None:
    said = await post(service, path, body, 400)
    assert {entry["field"] for entry in said["errors"]} == fields
    assert error is None or said["error"] == error
    assert (await get(service, "/stats"))["backlog"] == 0


async def test_a_delayed_message_is_scheduled(service: Live, streams: Streams) -> None:
    said = await post(service, "/messages/delayed", JOB | {"delay": 60_000})
    assert said["status"] == "scheduled"
    assert (said["delay"], said["streamId"], said["stream"]) == (60_000, None, streams.normal)
    leg = await streams.leg(said["messageId"])
    assert leg.state == "delayed" and abs(leg.due - await streams.now_ms() - 60_000) < 10_000
    assert said["scheduledFor"].endswith("Z")
    assert (await get(service, f"/messages/{said['messageId']}"))["status"] == "delayed"
    stats = await get(service, "/stats")
    assert (stats["due"], stats["stats"]["totalMessages"]) == (1, 0)


async def test_a_batch_answers_for_each_item(service: Live) -> None:
    items = [JOB, JOB | {"delay": 60_000}, {"type": "nothing"}, JOB | {"options": {"priority": "low"}}]
    said = await post(service, "/messages/batch", {"items": items})
    assert (said["accepted"], said["refused"]) == (3, 1)
    assert [item["status"] for item in said["items"]] == ["queued", "scheduled", "refused", "queued"]
    assert {error["field"] for error in said["items"][2]["errors"]} == {"type", "data"}


async def test_a_message_is_found_by_every_id_it_had(service: Live, streams: Streams) -> None:
    said = await post(service, "/messages", JOB)
    waiting = await get(service, f"/messages/{said['streamId']}")
    assert waiting | said == waiting
    assert (waiting["data"], waiting["type"]) == (JOB["data"], "booking")
    (entry,) = await streams.take("w1", 1)
    claim = await streams.claim(said["messageId"])
    await streams.call("stream_retry", entry.stream, entry.id, claim.job_id, claim.token, "boom", 0)
    async with worker_of(streams):
        await completed(streams, said["messageId"])
    by_first, by_id = await get(service, f"/messages/{entry.id}"), await get(service, f"/messages/{claim.job_id}")
    assert by_first == by_id
    assert by_id["status"] == "completed"
    assert by_id["streamId"] != entry.id
    assert (await get(service, f"/messages/{by_id['streamId']}")) == by_id
    assert by_id["result"] == {"by": "w1"} and by_id["attempts"] == 2


@pytest.mark.parametrize("nobody", ["11111111-1111-1111-1111-111111111111", "1-1", "99999999999999-7", "x", "9" * 200])
async def test_an_unknown_message_is_not_found(service: Live, nobody: str) -> None:
    assert (await get(service, f"/messages/{nobody}", 404))["error"] == "Message not found"


async def test_the_newest_messages_come_first_processed_ones_too(service: Live, streams: Streams) -> None:
    sent = [
        (await post(service, "/messages", JOB | {"options": {"priority": level}}))["messageId"]
        for level in ("normal", "high", "low", "critical") * 3
    ]
    async with worker_of(streams):
        await completed(streams, *sent)
    said = await get(service, "/messages")
    assert (said["stream"], said["count"]) == (streams.normal, 10)
    assert [message["messageId"] for message in said["messages"]] == sent[:1:-1]
    assert set(said["messages"][0]) >= {"streamId", "type", "messageId", "data"}
    newest = (await get(service, "/messages?count=2"))["messages"]
    assert [message["messageId"] for message in newest] == sent[:-3:-1]
    for count in ("0", "-1", "x", "1001"):
        await get(service, f"/messages?count={count}", 400)


async def test_lists_show_the_beginning_of_large_data_and_a_message_all_of_it(service: Live, streams: Streams) -> None:
    large, small = JOB | {"data": {"text": "x" * 60_000}}, JOB | {"data": {"text": "x" * 2000}}
    sent = [(await post(service, "/messages", job))["messageId"] for job in (small, large)]
    shown, whole = (await get(service, "/messages"))["messages"]
    assert (shown["type"], shown["messageId"], whole["data"]) == ("booking", sent[1], small["data"])
    assert 60_000 < shown["data"]["bytes"] < 61_000
    assert shown["data"]["raw"] == ('{"text":"' + "x" * 3000)[:2048]
    assert (await get(service, f"/messages/{sent[1]}"))["data"] == large["data"]
    await streams.redis.xadd(
        streams.names.dead, {"type": "booking", "error": "e", "data": b"\xc3\xa9" * 5000, "more": "x"}
    )
    (letter,) = (await get(service, "/dead-letters"))["deadLetters"]
    assert (letter["type"], letter["data"]) == ("booking", {"raw": "é" * 1024, "bytes": 10_000})


async def test_a_list_longer_than_what_is_read_at_once_is_whole(service: Live) -> None:
    said = await post(service, "/messages/batch", {"items": [JOB] * 50})
    sent = [item["messageId"] for item in said["items"]]
    for count in (20, 45, 100):
        found = (await get(service, f"/messages?count={count}"))["messages"]
        assert [message["messageId"] for message in found] == sent[::-1][:count]


async def test_stats_tell_what_waits_where(service: Live, streams: Streams) -> None:
    for level in ("normal", "low"):
        await post(service, "/messages", JOB | {"options": {"priority": level}})
    await streams.take("w1", 1)
    stats = await get(service, "/stats")
    assert stats["stream"] == streams.normal
    assert stats["stats"] == {"totalMessages": 2, "pendingMessages": 1, "dlqMessages": 0}
    assert (stats["lag"], stats["due"], stats["backlog"], stats["consumers"]) == (1, 0, 2, 1)
    assert stats["oldestAgeSeconds"] >= 0 and stats["outbox"] == 0
    assert stats["levels"]["low"]["lag"] == 1 and stats["levels"]["normal"]["pendingMessages"] == 1


async def test_what_is_in_hand_and_with_whom(service: Live, streams: Streams) -> None:
    said = await post(service, "/messages", JOB)
    await streams.take("w1", 1)
    ((stream_id, consumer, idle, deliveries),) = (await get(service, "/pending"))["pendingMessages"]
    assert (stream_id, consumer, deliveries) == (said["streamId"], "w1", 1) and idle >= 0
    (one,) = (await get(service, "/consumers"))["consumers"]
    assert (one["name"], one["pending"]) == ("w1", 1)


async def test_each_group_sees_every_entry(service: Live, streams: Streams) -> None:
    first = await post(service, "/messages", JOB)
    assert await post(service, "/groups", {"name": "audit"}) == {"name": "audit", "start": "0"}
    assert (await post(service, "/groups", {"name": "audit"}, 409))["error"] == "Group already exists"
    await post(service, "/groups", {"name": "later", "start": "$"})
    second = await post(service, "/messages", JOB)
    await streams.take("w1", 10)
    lags = {group["name"]: group["lag"] for group in (await get(service, "/groups"))["groups"]}
    assert lags == {"audit": 2, "later": 1, streams.names.group: 0}
    read = await streams.redis.xreadgroup("audit", "me", {streams.normal: ">"})
    entries = read[0][1] if isinstance(read, list) else next(iter(read.values()))
    flat = str(entries)
    assert first["messageId"] in flat and second["messageId"] in flat


async def test_a_group_with_work_in_hand_is_not_deleted(service: Live, streams: Streams) -> None:
    await post(service, "/groups", {"name": "audit"})
    said = await post(service, "/messages", JOB)
    await streams.redis.xreadgroup("audit", "me", {streams.normal: ">"})
    refused = await service.http.delete("/groups/audit")
    assert refused.status_code == 409 and "pending entries: 1" in refused.json()["error"]
    await streams.redis.xack(streams.normal, "audit", said["streamId"])
    assert (await service.http.delete("/groups/audit")).status_code == 200
    assert (await service.http.delete("/groups/audit")).status_code == 404
    own = await service.http.delete(f"/groups/{streams.names.group}")
    assert own.status_code == 409 and "own" in own.json()["error"]


async def test_a_dead_letter_tells_its_story_and_can_start_over(service: Live, streams: Streams) -> None:
    said = await post(service, "/messages", JOB)
    (entry,) = await streams.take("w1", 1)
    claim = await streams.claim(said["messageId"])
    await streams.call("stream_bury", entry.stream, entry.id, claim.job_id, "booking", "{}", "broken", claim.token)
    (letter,) = (await get(service, "/dead-letters"))["deadLetters"]
    assert set(letter) >= {"originalMessageId", "originalStream", "error", "failedAt", "data"}
    assert (letter["originalMessageId"], letter["error"]) == (said["messageId"], "broken")
    assert (await get(service, f"/messages/{said['messageId']}"))["status"] == "dead"
    assert (await get(service, "/stats"))["stats"]["dlqMessages"] == 1
    again = await post(service, f"/dead-letters/{said['messageId']}/redrive", None, 202)
    assert again["state"] == "queued" and again["receipt"]["streamId"] != said["streamId"]
    assert (await get(service, "/dead-letters"))["deadLetters"] == []
    await post(service, f"/dead-letters/{said['messageId']}/redrive", None, 409)


async def test_publish_answers_for_each_leg(service: Live, streams: Streams) -> None:
    sent, delayed, waiting = await streams.send(), await streams.accept(delay=60_000), await streams.accept()
    legs = [{"id": job, "generation": 1} for job in (sent, delayed, waiting)] + [{"id": "nobody", "generation": 1}]
    said = await post(service, "/publish", {"legs": legs}, 200)
    assert [leg["state"] for leg in said["legs"]] == ["queued", "delayed", "queued", "pending"]
    assert said["legs"][0]["receipt"]["streamId"] == await streams.stream_id(sent)
    assert said["legs"][3]["receipt"] is None
    assert await streams.length() == 2


async def test_health_and_metrics(service: Live, streams: Streams) -> None:
    health = await get(service, "/health")
    assert (health["status"], health["service"], health["stream"]) == ("ok", "stream", streams.normal)
    assert health["redis"] == "connected"
    await post(service, "/messages", JOB)
    text = (await service.http.get("/metrics")).text
    assert f'redis_stream_length{{stream="{streams.normal}"}} 1.0' in text
    assert f'redis_stream_group_lag{{group="{streams.names.group}",stream="{streams.normal}"}} 1.0' in text
    assert 'redis_stream_alarms{alarm="pendingEntriesDeleted"} 0.0' in text


async def test_messages_sent_while_no_worker_runs_are_processed_later(service: Live, streams: Streams) -> None:
    sent = [(await post(service, "/messages", JOB))["messageId"] for _ in range(3)]
    async with worker_of(streams):
        await completed(streams, *sent)

        async def empty() -> bool:
            return bool((await get(service, "/stats"))["backlog"] == 0)

        await eventually(empty, "the lane to be empty")
