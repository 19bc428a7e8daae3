"""RQ's own worker runs jobs that we published, under the same claim in the same ledger; effects stay once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest
import redis
from redis.asyncio import Redis
from rq import SimpleWorker
from rq.job import Job, JobStatus

from booking_queue.backends.rq.stock import NoJob, StockJob
from booking_queue.domain.job import Backend, NewJob, Options, State
from booking_queue.handlers import registry
from booking_queue.handlers.base import Outside
from booking_queue.ledger.ledger import LegRef
from booking_queue.ledger.record import BookingState, Leg, Record
from booking_queue.settings import Settings
from tests.contract.lanes import Lane, lane_of
from tests.unit.rq_side import FUNCTION, RqSide, side_of
from worker_service import attempt, rq_job
from worker_service.attempt import Tools

BOOKING = {"userId": "u1", "hotelId": "h1", "checkIn": "2026-06-01", "checkOut": "2026-06-03"}

T = TypeVar("T")


class World:
    """The outside world: every call is noted, and fails as often as asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.charges_fail = 0

    async def charge(self, key: str, amount: int, currency: str, reference: str) -> Any:
        self.calls.append("charge")
        if self.charges_fail:
            self.charges_fail -= 1
            raise RuntimeError("no charge today")
        return type("Charge", (), {"id": "c1", "amount": amount, "currency": currency})()

    async def render_and_store(self, key: str, fields: dict[str, Any]) -> dict[str, Any]:
        self.calls.append("document")
        return {"path": key}

    async def send_confirmation(self, booking_id: str, fields: dict[str, Any], *, round_: int) -> str:
        self.calls.append("mail")
        return "<m1>"


class Stock:
    """A test's own settings, and RQ's side of them. Every step has an event loop of its own, as RQ's jobs do."""

    def __init__(self, settings: Settings, rq: RqSide, world: World):
        self.settings = settings
        self.rq = rq
        self.world = world

    def lane(self, do: Callable[[Lane], Coroutine[Any, Any, T]]) -> T:
        async def run() -> T:
            async with lane_of("rq", self.settings) as lane:
                return await do(lane)

        return asyncio.run(run())

    def publish(self, kind: str, data: dict[str, Any], **options: Any) -> str:
        job_id = str(uuid4())

        async def do(lane: Lane) -> None:
            job = NewJob(id=job_id, type=kind, data=data, options=Options(**options), backends=[Backend.RQ])
            await lane.ledger.accept(job)
            await lane.publish(job_id)

        self.lane(do)
        return job_id

    def record(self, job_id: str) -> Record:
        async def do(lane: Lane) -> Record | None:
            return await lane.ledger.get(job_id)

        found = self.lane(do)
        assert found
        return found

    def leg(self, job_id: str) -> Leg:
        return self.record(job_id).legs[Backend.RQ]

    def work(self) -> None:
        """RQ's worker, until the queue is empty."""
        SimpleWorker([self.rq.queue()], connection=self.rq.redis, serializer="json").work(burst=True)

    def promote(self, job_id: str) -> None:
        """As when its time has come."""

        async def do(lane: Lane) -> None:
            await lane.redis.hset(f"{self.settings.key_prefix}:job:{job_id}", "rq.due", "1")
            await lane.redis.zadd(f"rq:scheduled:{self.rq.name()}", {job_id: 1.0}, xx=True)
            await lane.scripts.call("rq_tend", 100)

        self.lane(do)


@pytest.fixture
def stock(redis_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stock]:
    world = World()

    async def tools_of(settings: Settings, redis: Redis, worker_id: str, stack: AsyncExitStack, lua: str) -> Tools:
        tools = await attempt.tools_of(settings, redis, worker_id, stack, lua)
        return Tools(**{**tools.__dict__, "outside": Outside(world, world, world)})

    monkeypatch.setattr(rq_job, "tools_of", tools_of)
    for name, value in {"KEY_PREFIX": redis_settings.key_prefix, "SIMULATED_TIME_SCALE": "0"}.items():
        monkeypatch.setenv(name, value)
    for name in ("REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "NAME_PREFIX"):
        monkeypatch.delenv(name, raising=False)  # the job's own connection and queue tell
    monkeypatch.setattr("booking_queue.logs.configure", lambda *_: None)
    with side_of(redis_settings) as side:
        yield Stock(redis_settings, side, world)


def test_a_booking_is_confirmed_with_each_effect_once(stock: Stock) -> None:
    job_id = stock.publish("booking", BOOKING)
    stock.work()
    record = stock.record(job_id)
    leg = record.legs[Backend.RQ]
    assert record.booking_state is BookingState.CONFIRMED
    assert (leg.state, leg.attempts, leg.progress, leg.starts) == (State.COMPLETED, 1, 100, 0)
    assert leg.result["status"] == "confirmed" and leg.worker.startswith("rq-")
    assert stock.world.calls == ["charge", "document", "mail"]
    job = stock.rq.job(job_id)
    assert job.get_status() is JobStatus.FINISHED and job.return_value() == leg.result
    assert stock.rq.queue().finished_job_registry.get_job_ids() == [job_id]
    assert stock.rq.ttl(job_id) > stock.settings.ledger_retention - 60


def test_a_failed_attempt_is_tried_again_as_the_ledger_says(stock: Stock) -> None:
    stock.world.charges_fail = 1
    job_id = stock.publish("booking", BOOKING)
    stock.work()
    leg = stock.leg(job_id)
    assert (leg.state, leg.attempts, leg.generation) == (State.RETRYING, 1, 2)
    assert leg.error and "no charge today" in leg.error
    job = stock.rq.job(job_id)
    assert job.get_status() is JobStatus.SCHEDULED and job.meta["generation"] == 2
    scheduled = stock.rq.queue().scheduled_job_registry.get_scheduled_time(job_id)
    assert scheduled.timestamp() * 1000 >= leg.due, "never early"
    stock.work()
    assert stock.world.calls == ["charge"]
    stock.promote(job_id)
    stock.work()
    assert (stock.leg(job_id).state, stock.leg(job_id).attempts) == (State.COMPLETED, 2)
    assert stock.world.calls == ["charge", "charge", "document", "mail"]


def test_a_job_that_a_limit_holds_up_does_not_keep_rqs_worker(stock: Stock) -> None:
    jobs = [stock.publish("booking", BOOKING, rate_limit={"key": "k", "max": 1, "durationMs": 1000}) for _ in range(2)]
    stock.work()
    done, waits = sorted(jobs, key=lambda job_id: stock.leg(job_id).generation)
    leg, job = stock.leg(waits), stock.rq.job(waits)
    assert stock.leg(done).state is State.COMPLETED
    assert (leg.state, leg.limited_by, leg.attempts, leg.starts) == (State.DELAYED, "rateLimit", 0, 0)
    assert job.get_status() is JobStatus.SCHEDULED and job.meta["generation"] == leg.generation == 2

    async def lifted(lane: Lane) -> None:
        redis: Any = lane.redis
        prefix = stock.settings.key_prefix
        (limit,) = await redis.zrange(f"{prefix}:limited", 0, -1)
        await redis.delete(f"{prefix}:starts:{limit.decode()}")
        await redis.zadd(f"{prefix}:limited", {limit: 1})
        await lane.scripts.call("rq_tend", 100)

    stock.lane(lifted)
    stock.work()
    assert (stock.leg(waits).state, stock.leg(waits).attempts) == (State.COMPLETED, 1)
    stock.promote(waits)  # the copy that RQ kept
    stock.work()
    assert stock.rq.job(waits).get_status() is JobStatus.FINISHED
    assert stock.world.calls.count("charge") == 2


def test_should_rqs_worker_die_before_it_has_scheduled_the_outbox_does(stock: Stock) -> None:
    stock.world.charges_fail = 1
    job_id = stock.publish("booking", BOOKING)
    stock.work()
    stock.rq.redis.zrem(f"rq:scheduled:{stock.rq.name()}", job_id)

    async def reconcile(lane: Lane) -> None:
        assert await lane.redis.zscore(f"{stock.settings.key_prefix}:outbox:rq", job_id)
        await lane.publisher.publish([LegRef(job_id, 2)])

    stock.lane(reconcile)
    assert stock.rq.queue().scheduled_job_registry.get_job_ids(cleanup=False) == [job_id]
    stock.promote(job_id)
    stock.work()
    assert stock.leg(job_id).state is State.COMPLETED


def test_invalid_data_is_dead_at_once_in_both_views(stock: Stock) -> None:
    job_id = stock.publish("booking", {"userId": "u1"})
    stock.work()
    leg = stock.leg(job_id)
    assert leg.state is State.DEAD and leg.attempts == 1
    assert leg.error and "hotelId: Field required" in leg.error
    job = stock.rq.job(job_id)
    result = job.latest_result()
    assert job.get_status() is JobStatus.FAILED
    assert result and "hotelId: Field required" in (result.exc_string or "")
    assert stock.rq.queue().failed_job_registry.get_job_ids() == [job_id]
    assert stock.rq.queue().count == 0 and not stock.rq.queue().scheduled_job_registry.get_job_ids()

    async def letters(lane: Lane) -> list[dict[str, Any]]:
        return await lane.publisher.dead_letters()

    assert [letter["error"] for letter in stock.lane(letters)] == [leg.error]


@pytest.mark.parametrize(("end", "status"), [("completed", JobStatus.FINISHED), ("dead", JobStatus.FAILED)])
def test_what_is_over_is_not_run_again(stock: Stock, end: str, status: JobStatus) -> None:
    job_id = stock.publish("booking", BOOKING)

    async def elsewhere(lane: Lane) -> None:
        claim = await lane.ledger.claim(job_id, Backend.RQ, 1, "other")
        if end == "completed":
            await lane.ledger.complete(claim, {"by": "other"})  # type: ignore[arg-type]
        else:
            await lane.ledger.bury(claim, "its reason")  # type: ignore[arg-type]

    stock.lane(elsewhere)
    stock.work()
    assert stock.world.calls == []
    job = stock.rq.job(job_id)
    assert job.get_status() is status
    if end == "completed":
        assert job.return_value() == {"by": "other"}
    else:
        assert "its reason" in (job.latest_result().exc_string or "")  # type: ignore[union-attr]


def test_a_stranger_is_adopted_here_too(stock: Stock) -> None:
    job = stock.rq.queue().enqueue(FUNCTION, "booking", BOOKING)
    stock.work()
    assert stock.record(job.id).booking_state is BookingState.CONFIRMED
    assert stock.world.calls == ["charge", "document", "mail"]


def test_a_stranger_that_cannot_be_adopted_fails_with_the_remedy(stock: Stock) -> None:
    job = stock.rq.queue().enqueue(FUNCTION, "booking", BOOKING, job_id="my-own")
    stock.work()
    result = job.latest_result()
    assert job.get_status() is JobStatus.FAILED
    assert result and "leave job_id out" in (result.exc_string or "")
    assert stock.world.calls == []


def test_the_function_is_for_rqs_worker_alone() -> None:
    with pytest.raises(NoJob, match="rq worker --serializer json"):
        rq_job.perform("noop", {})


def test_the_command_rq_worker_runs_a_job_of_ours(stock: Stock) -> None:
    assert "noop" in registry()
    job_id = stock.publish("noop", {"n": 1})
    stock.rq.cli("worker", "--burst", "--serializer", "json", stock.rq.name(), KEY_PREFIX=os.environ["KEY_PREFIX"])
    leg = stock.leg(job_id)
    assert leg.state is State.COMPLETED and leg.worker.startswith("rq-")
    assert stock.rq.job(job_id).get_status() is JobStatus.FINISHED


@pytest.mark.parametrize("secure", [False, True])
def test_it_goes_back_to_redis_as_the_worker_came(stock: Stock, secure: bool) -> None:
    tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": os.__file__} if secure else {}
    connection = redis.Redis(host="elsewhere", port=7001, username="ada", password="secret", **tls)
    ours = StockJob.__new__(StockJob)
    ours.job = Job("1", connection=connection, serializer="json")
    ours.job.origin = stock.rq.name()
    told = ours.settings()
    assert (told.redis_host, told.redis_port) == ("elsewhere", 7001)
    assert (told.redis_username, told.redis_password) == ("ada", "secret")
    assert (told.redis_tls, told.redis_ca_file) == (("on", Path(os.__file__)) if secure else ("off", None))
