"""Lines of jobs that a limit holds up, in the ledger alone, on a real Redis."""

from __future__ import annotations

import itertools
import math
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from booking_queue.domain.job import Backend, NewJob, Options, State
from booking_queue.ledger.backlog import SAMPLE, read_backlog
from booking_queue.ledger.cancel import Cancellations
from booking_queue.ledger.connection import connect
from booking_queue.ledger.ledger import Claim, LegRef, Refused
from booking_queue.ledger.limits import Limits
from booking_queue.ledger.outbox import Outbox
from booking_queue.ledger.script import source
from booking_queue.settings import Settings
from tests.unit.book import Book

RQ, STREAMS, KAFKA = Backend.RQ, Backend.STREAMS, Backend.KAFKA
ONE = {"type:noop": {"concurrency": 1}}
DAY = 86_400_000
OWN = {"key": "k", "max": 1, "durationMs": DAY}


class Line:
    def __init__(self, book: Book, settings: Settings):
        self.book = book
        self.settings = settings
        self.ledger = book.ledger
        self.redis: Any = book.redis
        self.outbox = Outbox(book.scripts)
        self._ages = itertools.count()

    def key(self, name: str) -> str:
        return f"{self.book.prefix}:{name}"

    async def job(self, backend: Backend = RQ, **options: Any) -> str:
        job_id = str(uuid.uuid4())
        await self.ledger.accept(
            NewJob(id=job_id, type="noop", data={}, backends=[backend], options=Options(**options))
        )
        # No two in the same millisecond, or their ids would tell who is first.
        await self.redis.hincrby(self.key(f"job:{job_id}"), "created", next(self._ages))
        return job_id

    async def held(self, backend: Backend = RQ, **options: Any) -> str:
        job_id = await self.job(backend, **options)
        await self.hold(job_id, backend)
        return job_id

    async def hold(self, job_id: str, backend: Backend = RQ, generation: int = 1) -> None:
        answer = await self.ledger.claim(job_id, backend, generation, "w")
        assert isinstance(answer, Refused) and answer.reason == "limited", answer

    async def let_in(self, *backends: Backend) -> list[LegRef]:
        """Of these backends: what is to be sent now."""
        return [leg for backend in backends or (RQ,) for leg in await self.outbox.due(backend)]

    async def members(self, name: str) -> list[str]:
        found: list[Any] = await self.redis.zrange(self.key(name), 0, -1)
        return [member.decode() for member in found]

    async def pass_time(self, log: str) -> None:
        """As if what stands in this log had expired, and the lines were looked at next."""
        for name in (log, "limited"):
            for member, at in await self.redis.zrange(self.key(name), 0, -1, withscores=True):
                if at != math.inf:
                    await self.redis.zadd(self.key(name), {member: 1})


@asynccontextmanager
async def line_of(settings: Settings) -> AsyncIterator[Line]:
    ours = settings.model_copy(update={"lease_seconds": 600})
    redis = connect(ours)
    yield Line(Book(redis, ours, source("booking_queue.ledger", "cancel.lua")), ours)
    await redis.aclose()


@pytest.fixture
async def line(redis_settings: Settings) -> AsyncIterator[Line]:
    async with line_of(redis_settings) as line:
        yield line


@pytest.fixture
async def running(line: Line) -> Claim:
    """The one that has the only place."""
    await Limits(line.book.scripts).put(ONE)
    return await line.book.claim(await line.job())


async def test_who_ends_lets_one_in_and_the_place_is_kept_for_it(line: Line, running: Claim) -> None:
    first, second = await line.held(), await line.held()
    assert await line.let_in() == []
    assert await line.ledger.complete(running, {})
    await line.redis.zadd(line.key("limited"), {"type:noop": 1}, xx=True)
    assert await line.let_in() == [LegRef(first, 2)]
    claim = await line.book.claim(first, generation=2)
    assert (claim.attempt, claim.earlier_starts) == (1, 0)
    third = await line.held()
    assert await line.ledger.release(claim)
    assert await line.let_in() == [LegRef(second, 2)]
    await line.book.claim(second, generation=2)
    await Limits(line.book.scripts).put({"type:noop": {"concurrency": 2}})
    assert await line.let_in() == [LegRef(third, 2)]


async def test_the_urgent_go_first_unless_others_have_waited_for_long(line: Line, running: Claim) -> None:
    jobs = {level: await line.job(priority=level) for level in ("low", "normal", "high", "critical")}
    jobs["old"] = await line.job(priority="low")
    for age, name in ((0, "low"), (0, "normal"), (0, "high"), (0, "critical"), (899_999, "old")):
        created = int(await line.redis.hget(line.key(f"job:{running.job_id}"), "created") or 0) - age
        await line.redis.hset(line.key(f"job:{jobs[name]}"), "created", str(created))
        await line.hold(jobs[name])
    names = {job: name for name, job in jobs.items()}
    order = [names[job] for job in await line.members("limited:rq:type:noop")]
    assert order == ["critical", "old", "high", "normal", "low"]


async def test_nobody_looks_before_the_time_at_which_one_may_start(line: Line) -> None:
    """A line of thousands for a rate of one a day costs nothing until that day is over."""
    claim = await line.book.claim(await line.job(rate_limit=OWN))
    first, _ = await line.held(rate_limit=OWN), await line.held(rate_limit=OWN)
    (limit,) = await line.members("limited")
    for next_one in (first, None):
        await line.pass_time("nothing")
        assert await line.let_in() == []
        started = await line.redis.zscore(line.key(f"starts:{limit}"), f"rq:{claim.job_id}:{claim.token}")
        assert await line.redis.zscore(line.key("limited"), limit) == (started or 0) + DAY
        if next_one:
            await line.pass_time(f"starts:{limit}")
            assert await line.let_in() == [LegRef(next_one, 2)]
            claim = await line.book.claim(next_one, generation=2)


async def test_who_was_let_in_and_started_keeps_nobody_waiting_for_longer_than_the_rate_asks(line: Line) -> None:
    own = OWN | {"durationMs": 1500}  # less than a place is kept for
    await line.book.claim(await line.job(rate_limit=own))
    first, _ = await line.held(rate_limit=own), await line.held(rate_limit=own)
    (limit,) = await line.members("limited")
    await line.pass_time(f"starts:{limit}")
    assert await line.let_in() == [LegRef(first, 2)]
    claim = await line.book.claim(first, generation=2)
    started = await line.redis.zscore(line.key(f"starts:{limit}"), f"rq:{first}:{claim.token}")
    assert await line.redis.zscore(line.key("limited"), limit) == started + 1500


async def test_who_was_let_in_and_does_not_come_is_not_waited_for(line: Line) -> None:
    await line.book.claim(await line.job(rate_limit=OWN))
    first, second = await line.held(rate_limit=OWN), await line.held(rate_limit=OWN)
    (limit,) = await line.members("limited")
    await line.pass_time(f"starts:{limit}")
    assert await line.let_in() == [LegRef(first, 2)]
    expected = await line.redis.zscore(line.key(f"expected:{limit}"), f"rq:{first}")
    assert await line.redis.zscore(line.key("limited"), limit) == expected
    await line.pass_time(f"expected:{limit}")
    assert await line.let_in() == [LegRef(second, 2)]


async def test_a_job_with_a_rate_of_its_own_in_the_line_of_its_type_is_let_in_as_the_type_allows(line: Line) -> None:
    limits = Limits(line.book.scripts)
    await limits.put({"type:noop": {"rate": 2, "window": DAY}})
    for _ in range(2):
        await line.book.claim(await line.job())
    waiting = await line.held(rate_limit=OWN)
    await limits.put({"type:noop": {"rate": 3}})
    assert await line.let_in() == [LegRef(waiting, 2)]


async def test_who_asks_what_follows_sends_it_alone(line: Line) -> None:
    await Limits(line.book.scripts).put(ONE)
    claim = await line.book.claim(await line.job(KAFKA), KAFKA)
    waiting = await line.held(KAFKA)
    await line.ledger.complete(claim, {})
    assert [await line.ledger.following(claim) for _ in range(2)] == [[LegRef(waiting, 2)], []]
    assert await line.let_in(KAFKA) == []


async def test_a_dead_worker_s_place_is_the_next_one_s(line: Line, running: Claim) -> None:
    waiting = await line.held()
    await line.pass_time("running:type:noop")
    assert await line.let_in() == [LegRef(waiting, 2)]


async def test_the_lines_of_all_backends_have_their_turns(line: Line, running: Claim) -> None:
    jobs = {await line.held(backend): backend for backend in (KAFKA, STREAMS, RQ)}
    while jobs:
        await line.ledger.complete(running, {})
        (leg,) = await line.let_in(*jobs.values())
        running = await line.book.claim(leg.job_id, jobs.pop(leg.job_id), generation=2)


async def test_a_job_whose_worker_died_stands_in_line_with_that_start_and_its_worker_changes_nothing_more(
    line: Line, running: Claim
) -> None:
    await line.book.let_lease_end(running.job_id)
    await line.pass_time("running:type:noop")
    other = await line.book.claim(await line.job())
    await line.hold(running.job_id)
    assert not await line.ledger.complete(running, {})
    assert not await line.ledger.extend(running)
    await line.ledger.complete(other, {})
    assert await line.let_in() == [LegRef(running.job_id, 2)]
    assert (await line.book.claim(running.job_id, generation=2)).earlier_starts == 1


async def test_a_backend_that_is_away_stands_before_no_other(line: Line, running: Claim) -> None:
    jobs = {await line.held(KAFKA), await line.held(STREAMS), await line.held(RQ)}
    await line.ledger.complete(running, {})
    seen = set()
    for _ in jobs:
        seen |= {leg.job_id for leg in await line.let_in(RQ, STREAMS, KAFKA)}
        assert len(seen) < 4
        await line.pass_time("expected:type:noop")  # whoever was let in does not come
    assert seen == jobs


async def test_a_paused_backend_lets_nobody_in(line: Line, running: Claim) -> None:
    limits, waiting = Limits(line.book.scripts), await line.held()
    await limits.put({"rq": {"paused": 1}})
    await line.ledger.complete(running, {})
    assert await line.let_in() == []
    await limits.put({"rq": {"paused": None}, **ONE})
    assert await line.let_in() == [LegRef(waiting, 2)]


async def test_the_copy_that_was_refused_is_one_too_many_and_no_start_is_counted(line: Line, running: Claim) -> None:
    waiting = await line.held()
    assert await line.ledger.claim(waiting, RQ, 1, "w") == Refused("stale")
    assert await line.members("outbox:rq") == []
    leg = (await line.book.record(waiting)).legs[RQ]
    assert (leg.state, leg.generation, leg.attempts, leg.starts) == (State.DELAYED, 2, 0, 0)
    assert leg.limited_by == "type:noop"


async def test_a_copy_sent_besides_may_start_and_leaves_the_line(line: Line, running: Claim) -> None:
    waiting = await line.held()
    await line.pass_time("running:type:noop")
    await line.book.claim(waiting, generation=2)
    assert (await line.book.record(waiting)).legs[RQ].limited_by == ""
    assert await line.redis.zcard(line.key("limited:rq:type:noop")) == 0


async def test_what_is_in_line_is_neither_lost_nor_late_nor_sent_again(line: Line, running: Claim) -> None:
    waiting = await line.held(KAFKA)
    await line.redis.zincrby(line.key("open:kafka"), -DAY, waiting)  # accepted long ago
    assert await line.outbox.republish(KAFKA, 0) == (None, [])
    assert not await line.outbox.resend(waiting, KAFKA)
    assert (await read_backlog(line.redis, line.settings, KAFKA)).oldest_age == 0


async def test_what_is_late_is_seen_behind_any_number_in_line(line: Line, running: Claim) -> None:
    for _ in range(SAMPLE):
        await line.redis.zincrby(line.key("open:kafka"), -DAY, await line.held(KAFKA))
    late = await line.job(KAFKA)
    await line.ledger.published(LegRef(late, 1), KAFKA, {"offset": 1})
    await line.redis.zincrby(line.key("open:kafka"), -90_000, late)
    assert 90 <= (await read_backlog(line.redis, line.settings, KAFKA)).oldest_age < 120


async def test_who_is_cancelled_leaves_the_line_or_the_place_that_was_kept(line: Line, running: Claim) -> None:
    first, second, third = await line.held(), await line.held(), await line.held()
    cancellations = Cancellations(line.book.scripts)
    await cancellations.ask(first)
    assert await line.members("limited:rq:type:noop") == [second, third]
    await line.ledger.complete(running, {})
    await cancellations.ask(second)
    assert await line.let_in() == [LegRef(third, 2)]


async def test_a_newcomer_has_no_place_that_others_wait_for_or_that_is_kept_for_them(
    line: Line, running: Claim
) -> None:
    first, second = await line.held(), await line.held()
    await Limits(line.book.scripts).put({"type:noop": {"concurrency": 2}})
    await line.held()  # there is room, and who waits has not been let in yet
    assert await line.let_in() == [LegRef(first, 2)]
    await line.ledger.complete(running, {})
    assert await line.let_in() == [LegRef(second, 2)]
    await line.held()
    for job in (second, first):
        await line.book.claim(job, generation=2)


async def test_who_goes_from_one_line_to_another_leaves_the_place_that_was_kept_for_it(line: Line) -> None:
    await line.ledger.complete(await line.book.claim(await line.job(rate_limit=OWN)), {})
    await Limits(line.book.scripts).put({"rq": {"concurrency": 1}})
    running = await line.book.claim(await line.job())
    both, one = await line.held(rate_limit=OWN), await line.held()
    await line.ledger.complete(running, {})
    assert await line.let_in() == [LegRef(both, 2)]
    await line.hold(both, generation=2)
    assert await line.let_in() == [LegRef(one, 2)]


async def test_who_was_just_let_in_is_not_lost(line: Line, running: Claim) -> None:
    waiting = await line.held(KAFKA)
    await line.redis.zincrby(line.key("open:kafka"), -DAY, waiting)  # accepted long ago
    await line.ledger.complete(running, {})
    (leg,) = await line.let_in(KAFKA)
    await line.ledger.published(leg, KAFKA, {"offset": 1})
    assert await line.outbox.republish(KAFKA, 60_000) == (None, [])
    assert (await read_backlog(line.redis, line.settings, KAFKA)).oldest_age < 60, "it could not start before"


async def test_a_cancelled_job_that_ran_keeps_its_place_until_its_worker_must_have_noticed(
    line: Line, running: Claim
) -> None:
    waiting = await line.held()
    await Cancellations(line.book.scripts).ask(running.job_id)
    assert await line.let_in() == []
    await line.pass_time("running:type:noop")
    assert await line.let_in() == [LegRef(waiting, 2)]
