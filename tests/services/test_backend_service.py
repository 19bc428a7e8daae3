"""Direct posts, single and in batches, to the common part of the three backend services."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from booking_queue.backends.memory_broker import MemoryBroker
from booking_queue.domain.job import State
from booking_queue.settings import Settings
from booking_queue.web.backend_service import MISSING, Submitted
from booking_queue.web.schemas import DirectJob
from tests.services.live_app import Live
from tests.services.memory_service import JOB, broker_size, running


@pytest.fixture
async def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
async def service(redis_settings: Settings, broker: MemoryBroker) -> AsyncIterator[Live]:
    patient = redis_settings.model_copy(update={"publish_deadline": 60})  # however busy the machine is
    async with running(patient, broker) as found:
        yield found


async def test_a_direct_post_is_a_record_of_one_leg(service: Live, broker: MemoryBroker) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    answer = await service.http.post("/jobs", json=JOB, headers=headers)
    assert answer.status_code == 201
    body = answer.json()
    assert body["status"] == "queued"
    assert body["receipt"]["messageId"] == body["jobId"]
    found = (await service.http.get(f"/record/{body['jobId']}")).json()
    assert found["legs"] == ["rq"]
    assert found["state"] == "queued"
    assert trace in found["trace"]
    assert broker_size(broker) == 1


@pytest.mark.parametrize(
    ("path", "body", "error", "fields"),
    [
        ("/jobs", {}, MISSING, {"type", "data"}),
        ("/jobs", {"data": {}}, MISSING, {"type"}),
        ("/jobs", {"type": "booking"}, MISSING, {"data"}),
        ("/jobs", {"type": "", "data": None, "x": 1}, MISSING, {"type", "data", "x"}),
        ("/jobs", {"type": "unheard-of", "data": [1]}, None, {"type", "data"}),
        (
            "/jobs",
            JOB | {"options": {"attempts": 6, "priority": "soon"}},
            None,
            {"options.attempts", "options.priority"},
        ),
        ("/jobs/delayed", JOB, MISSING, {"delay"}),
        ("/jobs/delayed", JOB | {"delay": -1}, None, {"delay"}),
    ],
)
async def test_every_bad_field_is_named(
    service: Live, broker: MemoryBroker, path: str, body: Any, error: str | None, fields: set[str]
) -> None:
    answer = await service.http.post(path, json=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert {entry["field"] for entry in said["errors"]} == fields
    assert said["error"] == error if error else all(field in said["error"] for field in fields)
    assert (await service.http.get("/stats")).json()["backlog"] == 0


async def test_a_delayed_job_is_not_on_the_queue_yet(service: Live, broker: MemoryBroker) -> None:
    before = time.time()
    body = (await service.http.post("/jobs/delayed", json=JOB | {"delay": 60_000})).json()
    assert body["status"] == "delayed"
    assert body["scheduledFor"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(before + 59))
    assert len(broker.due) == 1
    stats = (await service.http.get("/stats")).json()
    assert stats["oldestAgeSeconds"] == 0, "what is not due does not wait"


async def test_a_batch_has_an_answer_per_item(service: Live, broker: MemoryBroker) -> None:
    large = {"type": "booking", "data": {"text": "x" * 70_000}}
    items = [JOB, {"type": "booking"}, "nonsense", JOB | {"delay": 60_000}, large, JOB | {"type": "unheard-of"}]
    answer = await service.http.post("/jobs/batch", json={"items": items})
    assert answer.status_code == 201
    body = answer.json()
    assert (body["accepted"], body["refused"]) == (2, 4)
    assert [item["index"] for item in body["items"]] == list(range(6))
    statuses = [item["status"] for item in body["items"]]
    assert statuses == ["queued", "refused", "refused", "delayed", "refused", "refused"]
    assert body["items"][1]["error"] == MISSING
    assert body["items"][1]["errors"][0]["field"] == "data"
    assert "65536" in body["items"][4]["error"]
    assert body["items"][5]["errors"][0]["field"] == "type"
    assert broker_size(broker) == 2


async def test_a_batch_keeps_its_order_and_takes_a_thousand(service: Live, broker: MemoryBroker) -> None:
    items = [{"type": "booking", "data": {"n": n}} for n in range(1000)]
    body = (await service.http.post("/jobs/batch", json={"items": items})).json()
    assert body["accepted"] == 1000
    on_the_queue = [message.raw for level in broker.levels.values() for message in level]
    assert len(on_the_queue) == 1000
    assert all(item["jobId"].encode() in raw for item, raw in zip(body["items"], on_the_queue, strict=True))


@pytest.mark.parametrize("items", [[], [JOB] * 1001])
async def test_a_batch_has_one_to_a_thousand_items(service: Live, items: list[Any]) -> None:
    assert (await service.http.post("/jobs/batch", json={"items": items})).status_code == 400


def test_status_words() -> None:
    states = {
        state: Submitted("i", "t", {}, DirectJob.model_fields["options"].default, state, None, 0) for state in State
    }
    assert {job.status for state, job in states.items() if state in (State.QUEUED, State.ACTIVE)} == {"queued"}
    assert states[State.PENDING].status == "pending"
    assert states[State.DELAYED].status == "delayed"
