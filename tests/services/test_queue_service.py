"""The RQ service as its users' scripts know it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from booking_queue.clock import iso
from booking_queue.settings import Settings
from queue_service.app import build
from tests.contract.lanes import Lane, eventually, lane_of
from tests.services.live_app import Live, live
from tests.unit.rq_side import RqSide, side_of

JOB: dict[str, Any] = {"type": "noop", "data": {"n": 1}}


@dataclass
class World:
    service: Live
    lane: Lane  # for workers
    rq: RqSide

    @property
    def http(self) -> httpx.AsyncClient:
        return self.service.http

    async def get(self, path: str) -> Any:
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, body: Any, path: str = "/jobs") -> Any:
        answer = await self.http.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def in_state(self, job_id: str, state: str) -> Any:
        async def there() -> Any:
            job = await self.get(f"/jobs/{job_id}")
            return job if job["state"] == state else None

        return await eventually(there, f"{job_id} to be {state}")


@pytest.fixture
async def world(redis_settings: Settings) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        lane = await stack.enter_async_context(lane_of("rq", redis_settings))
        service = await stack.enter_async_context(live(build(redis_settings)))
        yield World(service, lane, stack.enter_context(side_of(redis_settings)))


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
    assert abs(_ms(scheduled) - leg.due) < 1000
    assert (await world.get(f"/jobs/{job_id}"))["state"] == "delayed"
    (listed,) = (await world.get("/jobs/state/delayed"))["jobs"]
    assert listed["id"] == job_id and listed["scheduledFor"] == iso(leg.due)


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/jobs", {}, {"type", "data"}),
        ("/jobs", {"type": "noop"}, {"data"}),
        ("/jobs/delayed", JOB, {"delay"}),
        ("/jobs/delayed", {"delay": 5}, {"type", "data"}),
    ],
)
async def test_what_is_missing_is_named(world: World, path: str, body: Any, fields: set[str]) -> None:
    answer = await world.http.post(path, json=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["error"] == "Missing type or data"
    assert {error["field"] for error in answer.json()["errors"]} == fields


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


async def test_a_job_is_followed_by_its_id_to_the_end(world: World) -> None:
    job_id = await world.lane.send("gated")
    waiting = await world.get(f"/jobs/{job_id}")
    assert (waiting["state"], waiting["progress"], waiting["attemptsMade"]) == ("waiting", 0, 0)
    await world.lane.worker()
    await world.in_state(job_id, "active")
    assert [job["id"] for job in (await world.get("/jobs/state/active"))["jobs"]] == [job_id]
    world.lane.journal.gate.set()
    done = await world.in_state(job_id, "completed")
    record = await world.lane.ledger.get(job_id)
    assert record
    assert done == {
        "jobId": job_id,
        "name": "gated",
        "state": "completed",
        "progress": 100,
        "data": {"n": 1},
        "returnvalue": {"by": "w1", "attempt": 1},
        "failedReason": None,
        "attemptsMade": 1,
        "timestamp": record.created,
    }


async def test_a_failed_job_says_why_and_can_be_redriven(world: World) -> None:
    await world.lane.worker()
    job_id = await world.lane.send(fails=9, attempts=2)
    failed = await world.in_state(job_id, "failed")
    assert "asked to fail" in failed["failedReason"] and failed["attemptsMade"] == 2
    (listed,) = (await world.get("/jobs/state/failed"))["jobs"]
    assert listed["id"] == job_id and "asked to fail" in listed["failedReason"]
    (letter,) = (await world.get("/dead-letters"))["deadLetters"]
    assert letter["jobId"] == job_id and "asked to fail" in letter["error"] and letter["failedAt"]
    world.lane.journal.failures.clear()
    answer = await world.http.post(f"/dead-letters/{job_id}/redrive")
    assert answer.status_code == 202
    await world.in_state(job_id, "completed")
    assert (await world.get("/dead-letters"))["deadLetters"] == []


async def test_an_unknown_job_is_not_found(world: World) -> None:
    answer = await world.http.get(f"/jobs/{uuid4()}")
    assert answer.status_code == 404
    assert answer.json()["error"] == "Job not found"


async def test_a_job_that_asked_to_be_removed_is_not_found_once_done(world: World) -> None:
    await world.lane.worker()
    job_id = await world.lane.send(remove_on_complete=True)
    await world.lane.reach(job_id, "completed")
    assert (await world.http.get(f"/jobs/{job_id}")).status_code == 404
    assert (await world.get("/jobs/state/completed"))["jobs"] == []


async def test_a_job_not_yet_on_rq_is_waiting(world: World) -> None:
    job_id = await world.lane.accept()
    assert (await world.get(f"/jobs/{job_id}"))["state"] == "waiting"


async def test_strangers_and_refused_jobs_are_shown(world: World) -> None:
    mine = world.rq.queue().enqueue("noop", {"n": 5})
    shown = await world.get(f"/jobs/{mine.id}")
    assert (shown["name"], shown["data"], shown["state"]) == ("noop", {"n": 5}, "waiting")
    bad = world.rq.queue(serializer="pickle").enqueue("os.system", "id")
    (_, listed) = (await world.get("/jobs/state/waiting"))["jobs"]
    assert listed["id"] == bad.id and isinstance(listed["data"], dict)
    await world.lane.worker()
    refused = await world.in_state(bad.id, "failed")
    assert "serializer='json'" in refused["failedReason"]


async def test_lists_by_state_are_inclusive_and_ten_by_default(world: World) -> None:
    jobs = [(await world.post(JOB))["jobId"] for _ in range(12)]
    found = await world.get("/jobs/state/waiting")
    assert found["state"] == "waiting"
    assert [job["id"] for job in found["jobs"]] == jobs[:10]
    assert {"id", "name", "data", "progress", "attemptsMade"} <= found["jobs"][0].keys()
    assert [job["id"] for job in (await world.get("/jobs/state/waiting?start=2&end=4"))["jobs"]] == jobs[2:5]
    assert (await world.get("/jobs/state/completed"))["jobs"] == []


@pytest.mark.parametrize("state", ["paused", "Waiting", "queued"])
async def test_an_invalid_state_is_refused(world: World, state: str) -> None:
    answer = await world.http.get(f"/jobs/state/{state}")
    assert answer.status_code == 400
    assert answer.json()["error"] == "Invalid state"


@pytest.mark.parametrize("query", ["start=-1", "start=x", "end=100000", "start=0&end=1000"])
async def test_a_list_without_bounds_is_refused(world: World, query: str) -> None:
    assert (await world.http.get(f"/jobs/state/waiting?{query}")).status_code == 400


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
        assert first == {"id": jobs[0], "state": "queued", "receipt": {"jobId": jobs[0], "queue": world.rq.name()}}
        assert second["id"] == jobs[1] and third == {"id": unknown, "state": "pending", "receipt": None}
    assert world.rq.queue().job_ids == jobs


async def test_many_at_once_share_their_round_trips(world: World) -> None:
    answers = await asyncio.gather(*(world.http.post("/jobs", json=JOB) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert world.rq.queue().count == 50
