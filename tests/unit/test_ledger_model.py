"""The ledger against a model of it: claims, leases that end, fences, hand-overs, cancels and redrives in any order."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from booking_queue.domain.booking import STEPS
from booking_queue.domain.errors import EffectHeld, LeaseLost
from booking_queue.domain.job import TERMINAL, Backend, State
from booking_queue.ledger.cancel import Cancellations
from booking_queue.ledger.compensation import Compensations
from booking_queue.ledger.connection import connect
from booking_queue.ledger.ledger import Claim, LegRef
from booking_queue.ledger.script import source
from booking_queue.settings import Settings
from tests.unit.book import Book

LEGS = (Backend.RQ, Backend.KAFKA)
LUA = source("booking_queue.ledger", "cancel.lua")
ENDS = ("complete", "retry", "bury", "release")

T = TypeVar("T")


@dataclass
class Leg:
    """What the ledger should know of a leg. `owner`: the token that may change it; `live`: its lease has not ended."""

    state: State = State.PENDING
    generation: int = 1
    owner: str | None = None
    live: bool = False
    starts: int = 0
    completions: int = 0
    completed_by: str | None = None  # who asks again is told that it worked


@dataclass
class Job:
    id: str
    legs: dict[Backend, Leg] = field(default_factory=lambda: {backend: Leg() for backend in LEGS})
    cancelled: bool = False
    done: dict[str, str] = field(default_factory=dict)  # steps, by the token that did them

    @property
    def over(self) -> bool:
        return all(leg.state in TERMINAL for leg in self.legs.values())


class LedgerMachine(RuleBasedStateMachine):
    given: Settings  # set by the test

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        prefix = f"m{uuid.uuid4().hex[:10]}"
        ours = self.given.model_copy(update={"key_prefix": prefix, "name_prefix": f"{prefix}-", "lease_seconds": 60})
        self.redis = self.do(self._connect(ours))
        self.book = Book(self.redis, ours, LUA)
        self.jobs: dict[str, Job] = {}

    async def _connect(self, ours: Settings) -> Any:
        return connect(ours)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.do(self._clean())
        self.runner.close()

    async def _clean(self) -> None:
        async for key in self.redis.scan_iter(f"{self.book.prefix}:*"):
            await self.redis.delete(key)
        await self.redis.aclose()

    jobs_ = Bundle("jobs")
    claims = Bundle("claims")

    @initialize(target=jobs_)
    def accept(self) -> Any:
        for _ in range(2):
            job_id = self.do(self.book.job(*LEGS, tenant="acme"))
            self.jobs[job_id] = Job(job_id)
        return multiple(*self.jobs)

    @rule(job=jobs_, backend=st.sampled_from(LEGS))
    def publish(self, job: str, backend: Backend) -> None:
        leg = self.jobs[job].legs[backend]
        self.do(self.book.ledger.published(LegRef(job, leg.generation), backend, {"at": 1}))
        if leg.state is State.PENDING:
            leg.state = State.QUEUED

    @rule(
        target=claims,
        job=jobs_,
        backend=st.sampled_from(LEGS),
        old=st.sampled_from((False, False, False, True)),
        takeover=st.booleans(),
    )
    def claim(self, job: str, backend: Backend, old: bool, takeover: bool) -> Any:
        return self._claim(job, backend, old, takeover)

    @rule(target=claims, job=jobs_, backend=st.sampled_from(LEGS))
    def take_over(self, job: str, backend: Backend) -> Any:
        return self._claim(job, backend, old=False, takeover=True)

    def _claim(self, job: str, backend: Backend, old: bool, takeover: bool) -> Any:
        leg = self.jobs[job].legs[backend]
        if takeover and leg.state is State.ACTIVE:
            self.do(self.book.let_lease_end(job, backend))
            leg.live = False
        answer = self.do(self.book.ledger.claim(job, backend, leg.generation - old, "w"))
        may = not old and leg.state not in (*TERMINAL, State.CANCELLING) and not leg.live
        assert isinstance(answer, Claim) == may, (answer, leg)
        if not isinstance(answer, Claim):
            return multiple()
        assert answer.earlier_starts == leg.starts
        leg.state, leg.owner, leg.live, leg.starts = State.ACTIVE, answer.token, True, leg.starts + 1
        return answer

    @rule(job=jobs_, backend=st.sampled_from(LEGS))
    def lease_ends(self, job: str, backend: Backend) -> None:
        leg = self.jobs[job].legs[backend]
        if leg.state is State.ACTIVE:
            self.do(self.book.let_lease_end(job, backend))
            leg.live = False

    def _owned(self, claim: Claim) -> Leg | None:
        leg = self.jobs[claim.job_id].legs[claim.backend]
        return leg if leg.state is State.ACTIVE and leg.owner == claim.token else None

    @rule(claim=claims)
    def extend(self, claim: Claim) -> None:
        leg = self._owned(claim)
        assert self.do(self.book.ledger.extend(claim)) == (leg is not None)
        if leg:
            leg.live = True

    @rule(claim=claims, how=st.sampled_from(ENDS))
    def end(self, claim: Claim, how: str) -> None:
        """By the owner, or by one who was overtaken: then nothing may change."""
        leg, ledger = self._owned(claim), self.book.ledger
        match how:
            case "complete":
                worked = self.do(ledger.complete(claim, {}))
            case "retry":
                worked = self.do(ledger.retry(claim, "boom", 0)) is not None
            case "bury":
                worked = self.do(ledger.bury(claim, "no"))
            case _:
                worked = self.do(ledger.release(claim))
        again = self.jobs[claim.job_id].legs[claim.backend].completed_by == claim.token and how == "complete"
        assert worked == (leg is not None or again), (how, leg)
        if not leg:
            return
        after = {"complete": State.COMPLETED, "retry": State.RETRYING, "bury": State.DEAD, "release": State.QUEUED}
        leg.state, leg.owner, leg.live = after[how], None, False
        leg.starts = {"release": leg.starts - 1, "bury": leg.starts}.get(how, 0)
        leg.generation += how == "retry"
        leg.completions += how == "complete"
        leg.completed_by = claim.token if how == "complete" else None

    @rule(claim=claims, step=st.sampled_from(STEPS[1:4]), finish=st.booleans())
    def effect(self, claim: Claim, step: Any, finish: bool) -> None:
        """Done at most once, whoever tries, and never by one who lost its lease."""
        leg, job = self._owned(claim), self.jobs[claim.job_id]
        try:
            found = self.do(self.book.effects.claim(claim, step))
        except LeaseLost:
            assert leg is None
            return
        except EffectHeld:
            assert leg and step.name not in job.done
            return
        assert leg
        assert (found is not None) == (step.name in job.done)
        if found is None and finish:
            self.do(self.book.effects.done(claim, step, {}))
            job.done[step.name] = claim.token

    @rule(job=jobs_, go_on=st.sampled_from((True, True, True, False)))
    def cancel(self, job: str, go_on: bool) -> None:
        """Not too often, or little else is tried."""
        model = self.jobs[job]
        if model.cancelled or go_on:
            return
        answer = self.do(Cancellations(self.book.scripts).ask(job))
        assert (answer.outcome == "over") == model.over
        if not model.over:
            model.cancelled = True
            for leg in model.legs.values():
                if leg.state not in TERMINAL:
                    leg.state, leg.owner, leg.live = State.CANCELLING, None, False

    @precondition(lambda self: any(job.cancelled or job.over for job in self.jobs.values()))
    @rule(job=jobs_)
    def compensate(self, job: str) -> None:
        model, owed = self.jobs[job], Compensations(self.book.scripts)
        if not self.do(owed.done(job, self.do(self.book.record(job)).round, {})):
            return
        assert model.cancelled or model.over
        for leg in model.legs.values():
            if leg.state is State.CANCELLING:
                leg.state = State.CANCELLED

    @precondition(lambda self: any(leg.state is State.DEAD for job in self.jobs.values() for leg in job.legs.values()))
    @rule(job=jobs_, backend=st.sampled_from(LEGS))
    def redrive(self, job: str, backend: Backend) -> None:
        model = self.jobs[job]
        leg = model.legs[backend]
        before = self.do(self.book.record(job))
        answer = self.do(self.book.ledger.redrive(job, backend))
        if not isinstance(answer, LegRef):
            return
        assert leg.state is State.DEAD and not model.cancelled
        leg.generation += 1
        assert answer.generation == leg.generation
        leg.state, leg.starts = State.PENDING, 0
        if "compensation" in before.effects:
            model.done.clear()

    @invariant()
    def the_ledger_is_as_the_model_says(self) -> None:
        for job in self.jobs.values():
            record = self.do(self.book.record(job.id))
            for backend, leg in job.legs.items():
                found = record.legs[backend]
                assert (found.state, found.generation, found.starts) == (leg.state, leg.generation, leg.starts) or (
                    leg.state in (*TERMINAL, State.CANCELLING) and found.state is leg.state
                ), (backend, found, leg)
                assert leg.completions <= 1
            assert {name for name, fx in record.effects.items() if fx.state == "done"} - {"compensation"} == set(
                job.done
            )

    @invariant()
    def a_tenant_has_outstanding_what_has_not_ended(self) -> None:
        found = {each.decode() for each in self.do(_members(self.redis, f"{self.book.prefix}:outstanding:acme"))}
        assert found == {job.id for job in self.jobs.values() if not job.over}

    @invariant()
    def the_dead_are_in_everybody_s_inbox_and_in_the_tenant_s(self) -> None:
        for backend in LEGS:
            dead = {job.id for job in self.jobs.values() if job.legs[backend].state is State.DEAD}
            for name in (f"dead:{backend}", f"tenant:acme:dead:{backend}"):
                found = self.do(_members(self.redis, f"{self.book.prefix}:index:{name}"))
                assert {each.decode() for each in found} == dead, name

    @invariant()
    def what_is_open_and_what_is_to_be_sent_are_listed(self) -> None:
        for backend in LEGS:
            open_ = {each.decode() for each in self.do(_members(self.redis, f"{self.book.prefix}:open:{backend}"))}
            assert open_ == {job.id for job in self.jobs.values() if job.legs[backend].state not in TERMINAL}
            outbox = {each.decode() for each in self.do(_members(self.redis, f"{self.book.prefix}:outbox:{backend}"))}
            waiting = {job.id for job in self.jobs.values() if job.legs[backend].state is State.PENDING}
            assert waiting <= outbox


async def _members(redis: Any, key: str) -> list[bytes]:
    found: list[bytes] = await redis.zrange(key, 0, -1)
    return found


def test_no_order_of_events_breaks_the_ledger(redis_settings: Settings) -> None:
    class Machine(LedgerMachine):
        given = redis_settings

    Machine.TestCase.settings = settings(
        max_examples=30,
        stateful_step_count=40,
        deadline=None,
        phases=(Phase.generate,),  # a red run is to end soon
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    case = Machine.TestCase()
    case.runTest()
