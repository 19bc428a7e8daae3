"""The ledger on a real Redis: claims, fences, effects, rooms, the outbox, compensation, retention."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from booking_queue.domain.booking import STEPS
from booking_queue.domain.errors import EffectHeld, LeaseLost, LedgerUnavailable
from booking_queue.domain.job import TRANSITIONS, Backend, NewJob, Options, State
from booking_queue.ledger.connection import connect
from booking_queue.ledger.effects import Done, Effects, Stay
from booking_queue.ledger.ledger import Claim, Ledger, LegRef, NotSent, Outgoing, Refused
from booking_queue.ledger.record import BookingState, Record
from booking_queue.ledger.script import OperationFailed, Scripts
from booking_queue.settings import Settings

RQ, STREAMS, KAFKA = Backend.RQ, Backend.STREAMS, Backend.KAFKA
VALIDATE, PAYMENT, DOCUMENT, MAIL, INVENTORY = STEPS


class Book:
    """The ledger, and shorthands."""

    def __init__(self, redis: Redis, settings: Settings):
        self.redis = redis
        self.prefix = settings.key_prefix
        self.scripts = Scripts(redis, settings)
        self.ledger = Ledger(self.scripts)
        self.effects = Effects(self.scripts)

    async def job(self, *backends: Backend, kind: str = "booking", delay: int = 0) -> str:
        job_id = str(uuid.uuid4())
        legs = list(backends) or [RQ]
        new = NewJob(id=job_id, type=kind, data={}, backends=legs, options=Options(delay=delay))
        assert await self.ledger.accept(new)
        return job_id

    async def claim(self, job_id: str, backend: Backend = RQ, generation: int = 1, worker: str = "w") -> Claim:
        answer = await self.ledger.claim(job_id, backend, generation, worker)
        assert isinstance(answer, Claim), answer
        return answer

    async def record(self, job_id: str) -> Record:
        found = await self.ledger.get(job_id)
        assert found
        return found

    async def state(self, job_id: str, backend: Backend = RQ) -> State:
        return (await self.record(job_id)).legs[backend].state

    async def let_lease_end(self, job_id: str, backend: Backend = RQ) -> None:
        """As if its time had passed."""
        await self.redis.hset(f"{self.prefix}:job:{job_id}", f"{backend}.lease", "1")

    def stay(self, rooms: int = 1, *nights: str) -> Stay:
        return Stay("h", "standard", nights or ("2026-01-01", "2026-01-02"), rooms)

    async def do(self, claim: Claim, *steps: Any) -> None:
        for step in steps:
            assert await self.effects.claim(claim, step) is None
            await self.effects.done(claim, step, {"did": step.name})


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
    assert not await book.ledger.accept(NewJob(id=job, type="booking", data={}, backends=[RQ]))


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
    assert not await book.ledger.complete(heir, {"ok": 2})
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


async def test_an_effect_is_done_once_by_whichever_leg(book: Book) -> None:
    job = await book.job(RQ, KAFKA)
    first, second = await book.claim(job, RQ), await book.claim(job, KAFKA)
    assert await book.effects.claim(first, PAYMENT) is None
    with pytest.raises(EffectHeld) as held:
        await book.effects.claim(second, PAYMENT)
    assert 0 < held.value.wait_ms <= 1000
    await book.effects.done(first, PAYMENT, {"charge": 7})
    assert await book.effects.claim(second, PAYMENT) == Done({"charge": 7}, "rq")
    assert (await book.record(job)).legs[KAFKA].progress == PAYMENT.progress


async def test_an_effect_is_free_once_its_holders_lease_ends(book: Book) -> None:
    job = await book.job(RQ, KAFKA)
    first, second = await book.claim(job, RQ), await book.claim(job, KAFKA)
    assert await book.effects.claim(first, PAYMENT) is None
    await book.let_lease_end(job, RQ)
    assert await book.effects.claim(second, PAYMENT) is None
    with pytest.raises(LeaseLost):
        await book.effects.done(first, PAYMENT, {"charge": 1})
    await book.effects.done(second, PAYMENT, {"charge": 2})
    assert (await book.record(job)).effects["payment"].result == {"charge": 2}


async def test_a_failed_effect_is_free_at_once(book: Book) -> None:
    job = await book.job(RQ, KAFKA)
    first, second = await book.claim(job, RQ), await book.claim(job, KAFKA)
    assert await book.effects.claim(first, PAYMENT) is None
    await book.effects.drop(first, PAYMENT)
    assert await book.effects.claim(second, PAYMENT) is None


async def test_rooms_are_never_oversold(book: Book) -> None:
    stay = book.stay(3)
    jobs = [await book.job() for _ in range(20)]
    claims = [await book.claim(job) for job in jobs]
    await asyncio.gather(*(book.effects.claim(claim, VALIDATE) for claim in claims))
    holds = await asyncio.gather(*(book.effects.hold_rooms(claim, VALIDATE, stay, 60_000) for claim in claims))
    assert sum("rejected" not in hold for hold in holds) == 3
    winner = claims[[("rejected" not in hold) for hold in holds].index(True)]
    await book.do(winner, PAYMENT, DOCUMENT, MAIL)
    assert await book.effects.claim(winner, INVENTORY) is None
    sold, _ = await book.effects.sell_rooms(winner, INVENTORY, stay)
    assert sold
    assert (await book.record(winner.job_id)).booking_state == BookingState.CONFIRMED
    rooms = await book.scripts.call("rooms_get", 3, "h", "standard", *stay.nights)
    assert rooms == [b"3", b"3", b"1"] * 2


async def test_a_rejected_booking_takes_nothing(book: Book) -> None:
    job = await book.job()
    claim = await book.claim(job)
    await book.effects.claim(claim, VALIDATE)
    result = await book.effects.hold_rooms(claim, VALIDATE, book.stay(0), 60_000)
    assert result == {"rejected": "No room available", "night": "2026-01-01"}
    await book.ledger.complete(claim, result)
    assert (await book.record(job)).booking_state == BookingState.REJECTED
    assert await book.scripts.call("compensations_take", 10, 1000) == []


async def test_an_expired_hold_is_given_back_and_taken_anew(book: Book) -> None:
    job = await book.job()
    claim = await book.claim(job)
    await book.effects.claim(claim, VALIDATE)
    await book.effects.hold_rooms(claim, VALIDATE, book.stay(1), 0)
    assert await book.scripts.call("rooms_expire", 10) == [job.encode()]
    assert await book.scripts.call("rooms_get", 1, "h", "standard", "2026-01-01") == [b"1", b"0", b"0"]
    await book.do(claim, PAYMENT, DOCUMENT, MAIL)
    await book.effects.claim(claim, INVENTORY)
    sold, _ = await book.effects.sell_rooms(claim, INVENTORY, book.stay(1))
    assert sold


async def test_when_all_legs_die_after_payment_one_compensation_is_due(book: Book) -> None:
    job = await book.job(RQ, KAFKA)
    first, second = await book.claim(job, RQ), await book.claim(job, KAFKA)
    await book.effects.claim(first, VALIDATE)
    await book.effects.hold_rooms(first, VALIDATE, book.stay(1), 60_000)
    await book.do(first, PAYMENT)
    await book.ledger.bury(first, "dead")
    assert await book.scripts.call("compensations_take", 10, 60_000) == []
    await book.ledger.bury(second, "dead")
    assert (await book.record(job)).booking_state == BookingState.FAILED
    assert await book.ledger.redrive(job, RQ) == "compensating"
    assert await book.scripts.call("compensations_take", 10, 60_000) == [job.encode()]
    assert await book.scripts.call("compensations_take", 10, 60_000) == [], "it is another's for its lease"
    assert await book.scripts.call("compensated", job, "{}") == [1]
    assert await book.scripts.call("compensated", job, "{}") == [0]
    assert await book.scripts.call("rooms_get", 1, "h", "standard", "2026-01-01") == [b"1", b"0", b"0"]
    assert await book.ledger.redrive(job, RQ) == LegRef(job, 2)
    assert (await book.claim(job, RQ, 2)).round == 2


async def test_a_charge_whose_answer_was_lost_is_compensated_too(book: Book) -> None:
    job = await book.job()
    claim = await book.claim(job)
    await book.effects.claim(claim, PAYMENT)
    await book.effects.drop(claim, PAYMENT)
    await book.ledger.bury(claim, "dead")
    assert await book.scripts.call("compensations_take", 10, 1000) == [job.encode()]


async def test_outbox_rows_are_for_one_reconciler_at_a_time(book: Book) -> None:
    job = await book.job(KAFKA)
    assert await book.ledger.outbox_due(KAFKA) == [], "the direct publish has its chance first"
    await book.redis.zadd(f"{book.prefix}:outbox:kafka", {job: 1})
    taken = await asyncio.gather(*(book.ledger.outbox_due(KAFKA) for _ in range(5)))
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
    assert await book.ledger.republish(KAFKA, 60_000) == []
    assert await book.ledger.republish(KAFKA, -1) == [lost]
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
    assert isinstance(answers[1], Record)


async def test_an_absent_redis_is_named(redis_settings: Settings) -> None:
    away = connect(redis_settings.model_copy(update={"redis_port": 1}))
    with pytest.raises(LedgerUnavailable):
        await Ledger(Scripts(away, redis_settings)).get("x")
    await away.aclose()


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
