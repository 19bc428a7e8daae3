"""The RQ service as its users' scripts know it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from booking_queue.clock import iso
from booking_queue.ledger.cancel import Cancellations
from booking_queue.ledger.script import Scripts, source
from booking_queue.settings import Settings
from tests.services.queue_world import JOB, World, world_of


@pytest.fixture
async def world(redis_settings: Settings) -> AsyncIterator[World]:
    async with world_of(redis_settings) as world:
        yield world


async def test_a_job_is_queued_on_rq(world: World) -> None:
    body = await world.post(JOB)
    job_id = body.pop("jobId")
    assert body == {"name": "noop", "data": {"n": 1}, "status": "queued"}
    assert world.rq.queue().job_ids == [job_id]
    assert world.rq.job(job_id).args == ["noop", {"n": 1}]


async def test_any_object_is_taken_and_the_handler_judges_it(world: World) -> None:
    job_id = (await world.post({"type": "booking", "data": {"test": True}}))["jobId"]
    shown = await world.get(f"/jobs/{job_id}")
    assert shown["state"] == "waiting" and shown["data"] == {"test": True}


async def test_options_reach_the_queue(world: World) -> None:
    high = await world.post(JOB | {"options": {"priority": "high", "attempts": 2, "timeout": 5000}})
    assert world.rq.queue("-high").job_ids == [high["jobId"]]
    assert world.rq.job(high["jobId"]).timeout == 65  # ours, of 5 s, comes before
    late = await world.post(JOB | {"options": {"delay": 60_000}})
    assert late["status"] == "delayed"
    assert world.rq.queue().scheduled_job_registry.get_job_ids() == [late["jobId"]]


async def test_a_delayed_job_is_scheduled(world: World) -> None:
    body = await world.post(JOB | {"delay": 90_000}, "/jobs/delayed")
    job_id = body.pop("jobId")
    scheduled = body.pop("scheduledFor")
    assert body == {"name": "noop", "delay": 90_000, "status": "scheduled"}
    leg = await world.lane.leg(job_id)
    assert scheduled == iso(leg.due)
    assert (await world.get(f"/jobs/{job_id}"))["state"] == "delayed"
    (listed,) = (await world.get("/jobs/state/delayed"))["jobs"]
    assert listed["id"] == job_id and listed["scheduledFor"] == iso(leg.due)


@pytest.mark.parametrize(
    ("path", "body", "error", "fields"),
    [
        ("/jobs", {}, "Missing type or data", {"type", "data"}),
        ("/jobs", {"type": "noop"}, "Missing type or data", {"data"}),
        ("/jobs/delayed", JOB, "Missing type, data or delay", {"delay"}),
        ("/jobs/delayed", {"delay": 5}, "Missing type, data or delay", {"type", "data"}),
    ],
)
async def test_what_is_missing_is_named(world: World, path: str, body: Any, error: str, fields: set[str]) -> None:
    answer = await world.http.post(path, json=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["error"] == error
    assert {each["field"] for each in answer.json()["errors"]} == fields


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "unheard-of", "data": {}}, "type"),
        ({"type": "noop", "data": [1]}, "data"),
        ({"type": "noop", "data": {}, "options": {"attempts": 9}}, "options.attempts"),
        ({"type": "noop", "data": {}, "more": 1}, "more"),
    ],
)
async def test_what_is_wrong_is_named(world: World, body: Any, field: str) -> None:
    answer = await world.http.post("/jobs", json=body)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert world.rq.queue().count == 0


async def test_a_batch_is_answered_item_by_item(world: World) -> None:
    body = await world.post({"items": [JOB, {"type": "nope", "data": {}}, JOB | {"delay": 60_000}]}, "/jobs/batch")
    assert (body["accepted"], body["refused"]) == (2, 1)
    first, refused, delayed = body["items"]
    assert first["name"] == "noop" and first["status"] == "queued" and first["index"] == 0
    assert refused["status"] == "refused" and refused["errors"][0]["field"] == "type"
    assert delayed["status"] == "scheduled" and delayed["delay"] == 60_000 and delayed["scheduledFor"]
    assert world.rq.queue().job_ids == [first["jobId"]]


async def test_stats_and_health(world: World) -> None:
    await world.post(JOB)
    await world.post(JOB | {"options": {"priority": "critical"}})
    await world.post(JOB | {"delay": 60_000}, "/jobs/delayed")
    stats = await world.get("/stats")
    assert stats["queue"] == world.rq.name()
    assert stats["stats"] == {"waiting": 2, "active": 0, "completed": 0, "failed": 0, "delayed": 1, "total": 3}
    assert stats["levels"]["critical"]["waiting"] == 1
    assert stats["backlog"] == 3 and stats["outbox"] == 0
    health = await world.get("/health")
    assert health["status"] == "ok" and health["service"] == "queue"
    assert health["queue"] == world.rq.name() and health["broker"] == "connected"
    metrics = (await world.http.get("/metrics")).text
    assert f'rq_jobs{{queue="{world.rq.name("-critical")}",status="waiting"}} 1.0' in metrics
    assert f'rq_jobs{{queue="{world.rq.name()}",status="delayed"}} 1.0' in metrics


async def test_the_gateway_publishes_legs(world: World) -> None:
    jobs = [await world.lane.accept() for _ in range(2)]
    unknown = str(uuid4())
    legs = [{"id": job_id, "generation": 1} for job_id in [*jobs, unknown]]
    answers = [await world.http.post("/publish", json={"legs": legs}) for _ in range(2)]
    for answer in answers:
        assert answer.status_code == 200
        first, second, third = answer.json()["legs"]
        receipt = {"jobId": jobs[0], "queue": world.rq.name()}
        assert first == {"id": jobs[0], "state": "queued", "receipt": receipt, "waits": False}
        assert second["id"] == jobs[1]
        assert third == {"id": unknown, "state": "pending", "receipt": None, "waits": False}
    assert world.rq.queue().job_ids == jobs


async def test_many_at_once_share_their_round_trips(world: World) -> None:
    answers = await asyncio.gather(*(world.http.post("/jobs", json=JOB) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert world.rq.queue().count == 50


async def test_a_cancelled_job_leaves_the_scheduled_registry(world: World) -> None:
    job_id = await world.lane.send(delay=3_600_000)
    assert (await world.get("/stats"))["stats"]["delayed"] == 1
    assert (await world.http.delete(f"/dead-letters/{job_id}")).status_code == 409
    assert (await world.get("/stats"))["stats"]["delayed"] == 1, "it still waits for its time"
    scripts = Scripts(world.lane.redis, world.lane.settings, extra=source("booking_queue.ledger", "cancel.lua"))
    await Cancellations(scripts).ask(job_id)
    await world.http.delete(f"/dead-letters/{job_id}")  # as the gateway does
    assert (await world.get("/stats"))["stats"]["delayed"] == 0
