"""Looking at jobs of the RQ service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from booking_queue.settings import Settings
from tests.services.queue_world import JOB, World, world_of


@pytest.fixture
async def world(redis_settings: Settings) -> AsyncIterator[World]:
    async with world_of(redis_settings) as world:
        yield world


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


async def test_a_stranger_that_is_nested_too_deeply_is_shown_as_text(world: World) -> None:
    deep = b'["noop",null,[{"a":' + b"[" * 500 + b"]" * 500 + b"}],{}]"
    fields = {"status": "queued", "origin": world.rq.name(), "created_at": "2026-01-01T00:00:00Z", "data": deep}
    job_id = str(uuid4())
    world.rq.redis.hset(f"rq:job:{job_id}", mapping=fields)  # type: ignore[arg-type]
    world.rq.redis.rpush(f"rq:queue:{world.rq.name()}", job_id)
    (waiting,) = (await world.get("/jobs/state/waiting"))["jobs"]
    assert waiting["data"]["raw"].startswith('["noop"')
    await world.lane.worker()
    await world.in_state(job_id, "failed")
    (failed,) = (await world.get("/jobs/state/failed"))["jobs"]
    assert "nested" in failed["failedReason"]


async def test_lists_by_state_are_inclusive_and_ten_by_default(world: World) -> None:
    jobs = [(await world.post(JOB))["jobId"] for _ in range(12)]
    found = await world.get("/jobs/state/waiting")
    assert found["state"] == "waiting"
    assert [job["id"] for job in found["jobs"]] == jobs[:10]
    assert {"id", "name", "data", "progress", "attemptsMade"} <= found["jobs"][0].keys()
    assert [job["id"] for job in (await world.get("/jobs/state/waiting?start=2&end=4"))["jobs"]] == jobs[2:5]
    assert (await world.get("/jobs/state/completed"))["jobs"] == []


async def test_lists_show_the_beginning_of_large_data_and_a_job_all_of_it(world: World) -> None:
    data = {"text": "x" * 60_000}
    job_id = (await world.post({"type": "noop", "data": data}))["jobId"]
    packed = world.rq.queue().enqueue("noop", data)  # RQ compresses it to less than a list would cut
    rows = (await world.get("/jobs/state/waiting"))["jobs"]
    assert [row["id"] for row in rows] == [job_id, packed.id]
    assert all(60_000 < row["data"]["bytes"] < 61_000 and len(row["data"]["raw"]) == 2048 for row in rows)
    assert rows[0]["name"] == "noop"
    assert (await world.get(f"/jobs/{job_id}"))["data"] == (await world.get(f"/jobs/{packed.id}"))["data"] == data
    await world.lane.worker()
    failing = await world.lane.send(fails=9, attempts=1, data=data)
    await world.in_state(failing, "failed")
    (letter,) = (await world.get("/dead-letters"))["deadLetters"]
    assert (letter["type"], len(letter["data"]["raw"])) == ("noop", 2048)


@pytest.mark.parametrize("state", ["paused", "Waiting", "queued"])
async def test_an_invalid_state_is_refused(world: World, state: str) -> None:
    answer = await world.http.get(f"/jobs/state/{state}")
    assert answer.status_code == 400
    assert answer.json()["error"] == "Invalid state"


@pytest.mark.parametrize("query", ["start=-1", "start=x", "end=100000", "start=0&end=1000"])
async def test_a_list_without_bounds_is_refused(world: World, query: str) -> None:
    assert (await world.http.get(f"/jobs/state/waiting?{query}")).status_code == 400
