"""Turns, limits and dead letters in the ledger, on a real Redis."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from booking_queue.domain.errors import Overloaded, TenantOverloaded
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.connection import connect
from booking_queue.ledger.ledger import Claim, LegRef, NotSent, Refused
from booking_queue.ledger.limits import Limit, Limits
from booking_queue.ledger.outbox import Outbox
from booking_queue.ledger.record import Edit
from booking_queue.settings import Settings
from tests.unit.book import Book, ordered

RQ, STREAMS, KAFKA = Backend.RQ, Backend.STREAMS, Backend.KAFKA


@pytest.fixture
async def book(redis_settings: Settings) -> AsyncIterator[Book]:
    redis = connect(redis_settings)
    yield Book(redis, redis_settings)
    await redis.aclose()


# Turns


async def test_jobs_of_one_key_start_in_the_order_of_acceptance(book: Book) -> None:
    first, second, other = await ordered(book), await ordered(book), await ordered(book, "other")
    assert await book.ledger.claim(second, KAFKA, 1, "w") == Refused("turn", 1000)
    assert isinstance(await book.ledger.claim(other, KAFKA, 1, "w"), Claim)
    claim = await book.claim(first, KAFKA)
    assert await book.ledger.claim(second, KAFKA, 1, "w") == Refused("turn", 1000)
    assert await book.ledger.complete(claim, {})
    assert isinstance(await book.ledger.claim(second, KAFKA, 1, "w"), Claim)


async def test_tenants_who_choose_the_same_name_do_not_wait_for_one_another(book: Book) -> None:
    limit = {"key": "k", "max": 1, "durationMs": 60_000}
    for tenant in ("", "acme", "globex"):
        await book.claim(await ordered(book, tenant=tenant, rate_limit=limit), KAFKA)
    assert await book.ledger.claim(await ordered(book, tenant="acme"), KAFKA, 1, "w") == Refused("turn", 1000)


async def test_a_retry_keeps_its_turn_and_a_dead_job_gives_it_up(book: Book) -> None:
    first, second = await ordered(book), await ordered(book)
    await book.ledger.retry(await book.claim(first, KAFKA), "boom", 0)
    assert await book.ledger.claim(second, KAFKA, 1, "w") == Refused("turn", 1000)
    assert await book.ledger.bury(await book.claim(first, KAFKA, 2), "no")
    assert isinstance(await book.ledger.claim(second, KAFKA, 1, "w"), Claim)


async def test_a_job_whose_record_is_gone_holds_up_nobody(book: Book) -> None:
    first, second = await ordered(book), await ordered(book)
    await book.redis.delete(f"{book.prefix}:job:{first}")
    assert isinstance(await book.ledger.claim(second, KAFKA, 1, "w"), Claim)


async def test_a_redriven_job_goes_to_the_end_of_its_line(book: Book) -> None:
    first, second = await ordered(book), await ordered(book)
    await book.ledger.bury(await book.claim(first, KAFKA), "no")
    await book.ledger.redrive(first, KAFKA)
    assert await book.ledger.claim(first, KAFKA, 2, "w") == Refused("turn", 1000)
    assert isinstance(await book.ledger.claim(second, KAFKA, 1, "w"), Claim)


async def test_a_job_that_waits_for_its_turn_is_not_lost(book: Book) -> None:
    first, second = await ordered(book), await ordered(book)
    retried = await book.ledger.retry(await book.claim(first, KAFKA), "boom", 60_000)
    assert retried and isinstance(await book.ledger.outgoing(LegRef(second, 1), KAFKA), NotSent)
    outbox = Outbox(book.scripts)
    assert await outbox.republish(KAFKA, -1) == (None, [])
    await book.ledger.published(retried, KAFKA, None, State.RETRYING)
    await book.redis.hset(f"{book.prefix}:job:{first}", "kafka.due", "1")  # as if its time had come
    await book.redis.zadd(f"{book.prefix}:open:kafka", {first: 1})
    assert await outbox.republish(KAFKA, -1) == (None, [first])


# Limits


async def test_no_more_run_at_a_time_than_the_limit_over_all_workers(book: Book) -> None:
    await Limits(book.scripts).put({"rq": {"concurrency": 2}})
    jobs = [await book.job() for _ in range(3)]
    claims = [await book.claim(job, worker=f"w{n}") for n, job in enumerate(jobs[:2])]
    answer = await book.ledger.claim(jobs[2], RQ, 1, "w3")
    assert isinstance(answer, Refused) and answer.reason == "limited"
    assert (await book.record(jobs[2])).legs[RQ].attempts == 0
    assert await book.ledger.extend(claims[0])
    await book.ledger.release(claims[1])
    await book.claim(jobs[2], generation=2)


async def test_a_dead_worker_s_place_is_free_once_its_lease_has_ended(book: Book) -> None:
    await Limits(book.scripts).put({"type:booking": {"concurrency": 1}})
    first, second = await book.job(RQ), await book.job(KAFKA)
    await book.claim(first)
    await asyncio.sleep(1.1)  # the lease of these settings
    await book.claim(second, KAFKA)


async def test_a_rate_is_exact_over_any_window(book: Book) -> None:
    limits = Limits(book.scripts)
    await limits.put({"type:booking": {"rate": 2, "window": 60_000}})
    jobs = [await book.job() for _ in range(3)]
    for job in jobs[:2]:
        await book.claim(job)
    answer = await book.ledger.claim(jobs[2], RQ, 1, "w")
    assert isinstance(answer, Refused) and answer.reason == "limited" and 50_000 < answer.wait_ms <= 60_000
    await limits.put({"type:booking": {"rate": None, "window": None}})
    await book.claim(jobs[2], generation=2)


async def test_a_job_s_own_rate_limit_is_shared_by_its_key(book: Book) -> None:
    limit = {"key": "provider", "max": 1, "durationMs": 60_000}
    jobs = [await ordered(book, f"o{n}", rate_limit=limit) for n in range(2)]
    await book.claim(jobs[0], KAFKA)
    answer = await book.ledger.claim(jobs[1], KAFKA, 1, "w")
    assert isinstance(answer, Refused) and answer.reason == "limited"


async def test_a_job_with_the_same_key_and_a_shorter_window_makes_no_room_for_others(book: Book) -> None:
    async def job(window: int) -> str:
        rate = {"key": "provider", "max": 1, "durationMs": window}
        return await ordered(book, str(uuid.uuid4()), rate_limit=rate)

    await book.claim(await job(3_600_000), KAFKA)
    (log,) = await book.redis.keys(f"{book.prefix}:starts:*")
    await book.claim(await job(1), KAFKA)
    assert await book.redis.pttl(log) > 3_000_000, "not as soon as the shorter window ends, nor never"
    answer = await book.ledger.claim(await job(3_600_000), KAFKA, 1, "w")
    assert isinstance(answer, Refused) and answer.reason == "limited"


async def test_a_paused_backend_starts_nothing(book: Book) -> None:
    limits, job = Limits(book.scripts), await book.job(RQ, KAFKA)
    await limits.put({"kafka": {"paused": 1}})
    assert await book.ledger.claim(job, KAFKA, 1, "w") == Refused("paused", 1000)
    await book.claim(job, RQ)
    await limits.put({"kafka": {"paused": None}})
    await book.claim(job, KAFKA)


async def test_settings_are_under_what_was_put(book: Book) -> None:
    limits = Limits(book.scripts)
    await limits.defaults({"rq": Limit(outstanding=2, concurrency=5)})
    await limits.put({"rq": {"concurrency": 1}})
    assert await limits.all() == {"rq": Limit(outstanding=2, concurrency=1)}
    await limits.put({"rq": {"concurrency": None}})
    assert (await limits.all())["rq"].concurrency == 5
    await book.job(), await book.job()
    with pytest.raises(Overloaded):
        await book.job()
    await book.job(KAFKA)


async def test_a_tenant_has_no_more_outstanding_than_its_limit_and_others_do_not_feel_it(book: Book) -> None:
    limits = Limits(book.scripts)
    await limits.put({"tenant": {"outstanding": 1}})
    await limits.put({"tenant:acme": {"outstanding": 2}})
    first, _ = await book.job(RQ, KAFKA, tenant="acme"), await book.job(tenant="acme")
    with pytest.raises(TenantOverloaded) as refused:
        await book.job(tenant="acme")
    assert refused.value.most == 2
    await book.job(tenant="globex"), await book.job()
    with pytest.raises(TenantOverloaded):
        await book.job(tenant="globex")
    assert await book.ledger.complete(await book.claim(first, RQ), {})
    with pytest.raises(TenantOverloaded):  # one of its legs has ended
        await book.job(tenant="acme")
    assert await book.ledger.bury(await book.claim(first, KAFKA), "no")
    await book.job(tenant="acme")
    for redriven in (book.ledger.redrive(first, KAFKA), book.ledger.redrive_as(first, KAFKA, STREAMS)):
        with pytest.raises(TenantOverloaded):
            await redriven
    await limits.put({"tenant:acme": {"outstanding": 3}})
    assert isinstance(await book.ledger.redrive(first, KAFKA), LegRef)
    with pytest.raises(TenantOverloaded):
        await book.job(tenant="acme")


async def test_one_of_two_legs_starts_over_while_the_other_counts_already(book: Book) -> None:
    await Limits(book.scripts).put({"tenant:acme": {"outstanding": 1}})
    job = await book.job(RQ, KAFKA, tenant="acme")
    assert await book.ledger.bury(await book.claim(job), "no")
    assert isinstance(await book.ledger.redrive(job, RQ), LegRef)


async def test_a_dead_letter_is_in_everybody_s_inbox_and_its_tenant_s_until_it_is_seen_to(book: Book) -> None:
    async def found() -> list[list[str]]:
        inboxes = [f"{book.prefix}:index:{own}dead:rq" for own in ("", "tenant:acme:", "tenant:globex:")]
        members: list[Any] = [await book.redis.zrange(inbox, 0, -1) for inbox in inboxes]
        return [[each.decode() for each in inbox] for inbox in members]

    job = await book.job(RQ, tenant="acme")
    assert await book.ledger.bury(await book.claim(job), "no")
    assert await found() == [[job], [job], []]
    assert isinstance(await book.ledger.redrive(job, RQ), LegRef)
    assert await found() == [[], [], []]
    assert await book.ledger.bury(await book.claim(job, generation=2), "no")
    assert isinstance(await book.ledger.redrive_as(job, RQ, KAFKA), LegRef)
    assert await found() == [[], [], []]
    other = await book.job(RQ, tenant="acme")
    assert await book.ledger.bury(await book.claim(other), "no")
    assert await book.ledger.discard(other, RQ) == "discarded"
    assert await found() == [[], [], []]


async def test_a_refused_redrive_changes_nothing_and_the_record_keeps_its_end(book: Book) -> None:
    job = await book.job(RQ, KAFKA)
    assert await book.ledger.complete(await book.claim(job, KAFKA), {})
    assert await book.ledger.bury(await book.claim(job), "no")
    before = await book.record(job)
    assert await book.ledger.redrive_as(job, RQ, KAFKA) == "completed on kafka"
    assert await book.ledger.redrive_as(job, RQ, STREAMS, Edit("noop", {"n": 1})) == "not to be edited"
    assert await book.record(job) == before
    for key in (f"job:{job}", f"audit:{job}"):
        assert await book.redis.ttl(f"{book.prefix}:{key}") > 0


@pytest.mark.parametrize(("text", "kept"), [("a" * 500, 500), ("é" * 5000, 495), ("a" + "é" * 5000, 496)])
async def test_what_an_edit_replaces_is_told_as_far_as_it_is_short(book: Book, text: str, kept: int) -> None:
    job = await book.job(RQ)
    await book.redis.hset(f"{book.prefix}:job:{job}", "data", f'{{"note":"{text}"}}')
    assert await book.ledger.bury(await book.claim(job), "no")
    assert isinstance(await book.ledger.redrive_as(job, RQ, RQ, Edit("noop", {})), LegRef)
    lines: list[Any] = await book.redis.lrange(f"{book.prefix}:audit:{job}", 0, -1)
    (told,) = [event["before"] for event in (json.loads(line.split(b" ", 1)[1]) for line in lines) if "before" in event]
    assert told == f'{{"note":"{text[:kept]}' + ('"}' if len(text) == kept else " … (cut)")


async def test_a_letter_that_was_moved_or_discarded_is_not_there_any_more(book: Book) -> None:
    moved, discarded = await book.job(RQ, kind="noop"), await book.job(RQ, kind="noop")
    for job in (moved, discarded):
        assert await book.ledger.bury(await book.claim(job), "no")
    assert await book.ledger.redrive_as(moved, RQ, KAFKA) == LegRef(moved, 1)
    assert await book.ledger.discard(discarded, RQ) == "discarded"
    for job in (moved, discarded):  # by somebody whose page is older
        assert await book.ledger.redrive(job, RQ) == "moved or discarded"
        assert await book.ledger.redrive_as(job, RQ, STREAMS) == "moved or discarded"
        assert await book.ledger.discard(job, RQ) == "moved or discarded"
    assert await book.ledger.bury(await book.claim(moved, KAFKA), "no")
    assert await book.ledger.redrive_as(moved, KAFKA, RQ) == LegRef(moved, 2)


async def test_a_job_whose_record_was_taken_away_counts_against_no_tenant(book: Book) -> None:
    await Limits(book.scripts).put({"tenant:acme": {"outstanding": 1}})
    await book.redis.delete(f"{book.prefix}:job:{await book.job(tenant='acme')}")
    await book.job(tenant="acme")
    with pytest.raises(TenantOverloaded):
        await book.job(tenant="acme")
