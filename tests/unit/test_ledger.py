"""Claims, fences, the outbox and retention in the ledger, on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from booking_queue.domain.booking import STEPS
from booking_queue.domain.errors import LeaseLost, LedgerUnavailable
from booking_queue.domain.job import Backend, NewJob, Options, State
from booking_queue.ledger.connection import connect
from booking_queue.ledger.ledger import Claim, Ledger, LegRef, NotSent, Outgoing, Refused
from booking_queue.ledger.outbox import Outbox
from booking_queue.ledger.record import Record
from booking_queue.ledger.script import OperationFailed, Scripts
from booking_queue.settings import Settings
from tests.faults.proxy import WELL, Mistreatment, Proxy
from tests.unit.book import Book

RQ, STREAMS, KAFKA = Backend.RQ, Backend.STREAMS, Backend.KAFKA
VALIDATE, PAYMENT, DOCUMENT, MAIL, INVENTORY = STEPS

# Every legal change of a leg, as ARCHITECTURE.md draws it.
TRANSITIONS: dict[State, set[State]] = {
    State.PENDING: {State.QUEUED, State.DELAYED, State.ACTIVE, State.CANCELLING, State.DEAD},
    State.QUEUED: {State.ACTIVE, State.CANCELLING, State.DEAD},
    State.DELAYED: {State.QUEUED, State.ACTIVE, State.CANCELLING, State.DEAD},
    State.ACTIVE: {State.ACTIVE, State.COMPLETED, State.RETRYING, State.QUEUED, State.DEAD, State.CANCELLING},
    State.RETRYING: {State.ACTIVE, State.QUEUED, State.CANCELLING, State.DEAD},
    State.CANCELLING: {State.CANCELLED},
    State.COMPLETED: set(),
    State.DEAD: {State.PENDING},
    State.CANCELLED: set(),
}


@pytest.fixture
async def book(redis_settings: Settings) -> AsyncIterator[Book]:
    redis = connect(redis_settings)
    yield Book(redis, redis_settings)
    await redis.aclose()


async def test_only_one_of_many_claims_wins(book: Book) -> None:
    job = await book.job()
    answers = await asyncio.gather(*(book.ledger.claim(job, RQ, 1, f"w{n}") for n in range(50)))
    assert sum(isinstance(answer, Claim) for answer in answers) == 1
    assert {answer.reason for answer in answers if isinstance(answer, Refused)} == {"busy"}


async def test_an_id_is_accepted_once(book: Book) -> None:
    job = await book.job()
    again = NewJob(id=job, type="noop", data={}, backends=[RQ], options=Options(delay=1000))
    assert await book.ledger.accept(again) == (await book.record(job)).created
    assert (await book.record(job)).type == "booking"


async def test_after_the_lease_another_takes_over_and_the_first_is_fenced(book: Book) -> None:
    job = await book.job()
    zombie = await book.claim(job, worker="zombie")
    await book.let_lease_end(job)
    heir = await book.claim(job, worker="heir")
    assert heir.token != zombie.token
    assert heir.earlier_starts == 1
    assert not await book.ledger.extend(zombie)
    assert not await book.ledger.complete(zombie, {})
    assert not await book.ledger.bury(zombie, "x")
    assert await book.ledger.retry(zombie, "x", 0) is None
    assert not await book.ledger.release(zombie)
    assert not await book.ledger.progress(zombie, "x", 5)
    with pytest.raises(LeaseLost):
        await book.effects.claim(zombie, VALIDATE)
    assert (await book.record(job)).legs[RQ].worker == "heir"
    assert await book.ledger.complete(heir, {"ok": 1})
    assert await book.ledger.complete(heir, {"ok": 2}), "whoever did it may ask again, should the answer be lost"
    assert (await book.record(job)).legs[RQ].result == {"ok": 1}
    assert (await book.record(job)).legs[RQ].result == {"ok": 1}


async def test_a_retry_is_a_new_generation_that_is_never_early(book: Book) -> None:
    job = await book.job(KAFKA)
    leg = await book.ledger.retry(await book.claim(job, KAFKA), "boom", 60_000)
    assert leg == LegRef(job, 2)
    assert await book.ledger.claim(job, KAFKA, 1, "w") == Refused("stale")
    early = await book.ledger.claim(job, KAFKA, 2, "w")
    assert isinstance(early, Refused)
    assert early.reason == "early"
    assert 55_000 < early.wait_ms <= 60_000
    assert isinstance(await book.ledger.outgoing(leg, KAFKA), Outgoing)


async def test_a_generation_that_was_never_issued_starts_nothing_and_changes_nothing(book: Book) -> None:
    job = await book.job(KAFKA)
    before = await book.record(job)
    for generation in (2, 2**31 - 1):
        assert await book.ledger.claim(job, KAFKA, generation, "w") == Refused("stale")
    assert await book.record(job) == before
    assert await book.ledger.retry(await book.claim(job, KAFKA), "boom", 0) == LegRef(job, 2)


async def test_a_record_with_half_a_character_in_it_can_be_read(book: Book) -> None:
    job = await book.job()
    await book.redis.hset(f"{book.prefix}:job:{job}", mapping={"data": b'{"raw":"\xc3"}', "rq.error": b"\xc3"})
    record = await book.record(job)
    assert (record.data, record.legs[RQ].error) == ({"raw": "\ufffd"}, "\ufffd")


async def test_starts_without_an_outcome_are_counted_and_hand_backs_are_not(book: Book) -> None:
    job = await book.job()
    for crashes in range(3):
        claim = await book.claim(job)
        assert claim.earlier_starts == crashes
        await book.let_lease_end(job)
    claim = await book.claim(job)
    assert claim.earlier_starts == 3
    assert await book.ledger.release(claim)
    assert (await book.claim(job)).earlier_starts == 3


async def test_outbox_rows_are_for_one_reconciler_at_a_time(book: Book) -> None:
    job = await book.job(KAFKA)
    assert await Outbox(book.scripts).due(KAFKA) == [], "the direct publish has its chance first"
    await book.redis.zadd(f"{book.prefix}:outbox:kafka", {job: 1})
    taken = await asyncio.gather(*(Outbox(book.scripts).due(KAFKA) for _ in range(5)))
    assert sorted(len(rows) for rows in taken) == [0, 0, 0, 0, 1]
    await book.ledger.published(LegRef(job, 1), KAFKA, {"offset": 4})
    sent = await book.ledger.outgoing(LegRef(job, 1), KAFKA)
    assert sent == NotSent("sent", State.QUEUED, {"offset": 4})
    assert await book.redis.zcard(f"{book.prefix}:outbox:kafka") == 0


async def test_a_claim_proves_that_it_was_published(book: Book) -> None:
    job = await book.job(KAFKA)
    await book.claim(job, KAFKA)
    assert await book.redis.zcard(f"{book.prefix}:outbox:kafka") == 0
    await book.ledger.published(LegRef(job, 1), KAFKA, {"offset": 4})
    leg = (await book.record(job)).legs[KAFKA]
    assert (leg.state, leg.receipt) == (State.ACTIVE, {"offset": 4})


async def test_a_job_lost_by_its_broker_is_published_again(book: Book) -> None:
    lost, running = await book.job(KAFKA), await book.job(KAFKA)
    for job in (lost, running):
        await book.ledger.published(LegRef(job, 1), KAFKA, {})
    await book.claim(running, KAFKA)
    outbox = Outbox(book.scripts)
    assert await outbox.republish(KAFKA, 60_000) == (None, [])
    assert await outbox.republish(KAFKA, -1) == (None, [lost])
    assert isinstance(await book.ledger.outgoing(LegRef(lost, 1), KAFKA), Outgoing)


async def test_finished_records_expire_and_unfinished_do_not(book: Book) -> None:
    job = await book.job(RQ, KAFKA)
    await book.ledger.complete(await book.claim(job, RQ), None)
    key, audit = f"{book.prefix}:job:{job}", f"{book.prefix}:audit:{job}"
    assert await book.redis.ttl(key) == -1
    await book.ledger.complete(await book.claim(job, KAFKA), None)
    assert 0 < await book.redis.ttl(key) <= 172_800
    assert 0 < await book.redis.ttl(audit) <= 172_800
    assert await book.redis.zcard(f"{book.prefix}:open:rq") == 0


async def test_one_operations_failure_is_its_own(book: Book) -> None:
    job = await book.job()
    answers = await asyncio.gather(book.scripts.call("no_such_operation"), book.ledger.get(job), return_exceptions=True)
    assert isinstance(answers[0], OperationFailed)
    with pytest.raises(OperationFailed):
        await book.scripts.call("claim", job, "rq", True, "w")
    assert isinstance(answers[1], Record)


async def test_nor_does_text_that_is_none_fail_its_neighbours(book: Book) -> None:
    job = await book.job()
    wrong = book.scripts.call("get", "\udce9")
    answers = await asyncio.gather(wrong, book.ledger.get(job), return_exceptions=True)
    assert isinstance(answers[0], OperationFailed)
    assert isinstance(answers[1], Record)


async def test_an_absent_redis_is_named(redis_settings: Settings) -> None:
    away = connect(redis_settings.model_copy(update={"redis_port": 1}))
    with pytest.raises(LedgerUnavailable):
        await Ledger(Scripts(away, redis_settings)).get("x")
    await away.aclose()


async def test_behind_a_redis_that_says_nothing_every_call_fails_with_the_first(redis_settings: Settings) -> None:
    async with Proxy(redis_settings.redis_port) as proxy:
        redis = connect(redis_settings.model_copy(update={"redis_port": proxy.port}), answer_seconds=0.3)
        ledger = Ledger(Scripts(redis, redis_settings))
        assert await ledger.get("nobody") is None
        proxy.treat(Mistreatment(hole=True))
        answers = await asyncio.gather(*(ledger.get("nobody") for _ in range(400)), return_exceptions=True)
        assert all(isinstance(answer, LedgerUnavailable) for answer in answers)
        assert ledger.scripts.round_trips == 2, "one for all that would have had none"
        proxy.treat(WELL)
        assert await ledger.get("nobody") is None
        await redis.aclose()


async def test_nor_does_a_call_wait_for_the_time_of_several_where_every_connection_is_taken(
    redis_settings: Settings,
) -> None:
    redis = connect(redis_settings, connections=1, answer_seconds=0.3)
    ledger = Ledger(Scripts(redis, redis_settings))
    pool: Any = redis.connection_pool
    taken = await pool.get_connection()
    answers = await asyncio.gather(*(ledger.get("nobody") for _ in range(400)), return_exceptions=True)
    assert all(isinstance(answer, LedgerUnavailable) for answer in answers)
    assert ledger.scripts.round_trips == 1
    await pool.release(taken)
    assert await ledger.get("nobody") is None
    await redis.aclose()


async def test_too_many_calls_at_a_time_are_the_ledger_s_want_not_a_broker_s(book: Book) -> None:
    book.scripts._coalesced._max_waiting = 1
    answers = await asyncio.gather(book.ledger.get("x"), book.ledger.get("x"), return_exceptions=True)
    assert answers[0] is None and isinstance(answers[1], LedgerUnavailable)


async def test_every_change_of_state_is_in_the_table(book: Book) -> None:
    """Each operation, on a leg in each state: either refused, or a legal transition."""
    for state in State:
        for op in ("claim", "complete", "retry", "bury", "release", "redrive", "published"):
            job = await book.job(KAFKA)
            key = f"{book.prefix}:job:{job}"
            await book.redis.hset(key, mapping={"kafka.state": state.value, "kafka.token": "9", "kafka.lease": "1"})
            claim = Claim(job, KAFKA, "9", 1, 0, "booking", {}, Options(), "", 0, 1)
            match op:
                case "claim":
                    await book.ledger.claim(job, KAFKA, 1, "w")
                case "complete":
                    await book.ledger.complete(claim, None)
                case "retry":
                    await book.ledger.retry(claim, "x", 0)
                case "bury":
                    await book.ledger.bury(claim, "x")
                case "release":
                    await book.ledger.release(claim)
                case "redrive":
                    await book.ledger.redrive(job, KAFKA)
                case "published":
                    await book.ledger.published(LegRef(job, 1), KAFKA, {})
            after = await book.state(job, KAFKA)
            assert after == state or after in TRANSITIONS[state], f"{op}: {state} -> {after}"
