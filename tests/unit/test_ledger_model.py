"""The ledger against a model of it: claims, leases that end, fences, hand-overs, cancels and redrives in any order."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule
from redis.asyncio import Redis

from booking_queue.domain.booking import Step
from booking_queue.domain.errors import EffectHeld, LeaseLost
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.cancel import Cancellations
from booking_queue.ledger.compensation import Compensations
from booking_queue.ledger.connection import connect
from booking_queue.ledger.ledger import Claim, LegRef, Outgoing
from booking_queue.ledger.outbox import Outbox
from booking_queue.ledger.record import Edit
from booking_queue.ledger.script import source
from booking_queue.settings import Settings
from tests.unit.book import DOCUMENT, INVENTORY, PAYMENT, Book
from tests.unit.ledger_model import RESTING, TENANT, Debt, Job, Leg, lists
from tests.unit.ledger_seen import seen

LUA = source("booking_queue.ledger", "cancel.lua")
OFTEN = st.sampled_from((True, True, True, False))
BEHIND = st.sampled_from((0, 0, 0, 1, 2))  # so many generations, or rounds
FORGED = st.sampled_from((0, 0, 0, 1, 2, -1))  # of which one was never issued
TO = st.sampled_from((None, None, *Backend))
EDIT = st.sampled_from((None, None, "booking", "booking", "noop"))  # the type that a job is to have, with other data
WHICH = st.integers(0, 2)  # of a job's legs

Letter = tuple[str, Backend]
T = TypeVar("T")


class LedgerMachine(RuleBasedStateMachine):
    """Each rule tells both, and compares how they answer; afterwards all that they know is compared."""

    runner: asyncio.Runner  # these are the test's
    redis: Redis
    given: Settings
    numbers = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        ours = {"key_prefix": f"{self.given.key_prefix}-{next(self.numbers)}", "lease_seconds": 60}
        self.book = Book(self.redis, self.given.model_copy(update=ours), LUA)
        self.ledger, self.outbox = self.book.ledger, Outbox(self.book.scripts)
        self.cancellations, self.compensations = Cancellations(self.book.scripts), Compensations(self.book.scripts)
        self.jobs: dict[str, Job] = {}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    jobs_ = Bundle("jobs")
    claims = Bundle("claims")  # of all times: most are of somebody who was overtaken
    letters = Bundle("letters")  # as somebody saw them, who may redrive them long after

    @initialize(target=jobs_)
    def accept(self) -> Any:
        for backends in ((Backend.RQ,), (Backend.RQ, Backend.KAFKA)):
            job_id = self.do(self.book.job(*backends, tenant=TENANT))
            self.jobs[job_id] = Job(job_id, {backend: Leg() for backend in backends})
        return multiple(*self.jobs)

    def _leg(self, job: str, which: int) -> tuple[Job, Backend, Leg]:
        model = self.jobs[job]
        backend = list(model.legs)[which % len(model.legs)]
        return model, backend, model.legs[backend]

    def _owned(self, claim: Claim) -> Leg | None:
        return self.jobs[claim.job_id].owned(claim.backend, claim.token)

    # To the brokers

    @rule(job=jobs_, which=WHICH, behind=BEHIND, place=st.sampled_from(({"at": 1}, None)))
    def publish(self, job: str, which: int, behind: int, place: dict[str, Any] | None) -> None:
        """`place`: a job's; none of a dead letter. A word that comes late takes no row away that is not its own."""
        _, backend, leg = self._leg(job, which)
        ref = LegRef(job, leg.generation - behind)
        assert isinstance(self.do(self.ledger.outgoing(ref, backend)), Outgoing) == (leg.unsent and not behind)
        self.do(self.ledger.published(ref, backend, place))
        if behind or not leg.unsent or (leg.state is State.DEAD and place):
            return
        leg.unsent = False
        if leg.state is State.PENDING:
            leg.state = State.QUEUED

    @rule(job=jobs_, which=WHICH)
    def resend(self, job: str, which: int) -> None:
        _, backend, leg = self._leg(job, which)
        may = leg.state not in RESTING and not leg.live and not leg.unsent
        assert self.do(self.outbox.resend(job, backend)) == may
        leg.unsent = leg.unsent or may

    # Starts, and how each ends

    @rule(target=claims, job=jobs_, which=WHICH, behind=FORGED, takeover=st.booleans())
    def claim(self, job: str, which: int, behind: int, takeover: bool) -> Any:
        model, backend, _ = self._leg(job, which)
        if takeover:
            self._let_lease_end(model, backend)
        return self._claim(model, backend, behind) or multiple()

    def _claim(self, model: Job, backend: Backend, behind: int = 0) -> Claim | None:
        leg = model.legs[backend]
        answer = self.do(self.ledger.claim(model.id, backend, leg.generation - behind, "w"))
        assert isinstance(answer, Claim) == leg.may_start(leg.generation - behind), (answer, leg)
        if not isinstance(answer, Claim):
            return None
        assert (answer.earlier_starts, answer.attempt, answer.redrives) == (leg.starts, leg.attempts + 1, leg.redrives)
        assert (answer.round, answer.type, answer.data) == (model.round, model.type, model.data)
        leg.start(answer.token)
        return answer

    @rule(job=jobs_, which=WHICH)
    def lease_ends(self, job: str, which: int) -> None:
        model, backend, _ = self._leg(job, which)
        self._let_lease_end(model, backend)

    def _let_lease_end(self, model: Job, backend: Backend) -> None:
        if model.legs[backend].live:
            self.do(self.book.let_lease_end(model.id, backend))
            model.legs[backend].live = False

    @rule(claim=claims)
    def extend(self, claim: Claim) -> None:
        leg = self._owned(claim)
        assert self.do(self.ledger.extend(claim)) == (leg is not None)
        if leg:
            leg.live = True

    @rule(claim=claims)
    def complete(self, claim: Claim) -> None:
        model, owned = self.jobs[claim.job_id], self._owned(claim)
        leg = model.legs[claim.backend]
        again = leg.state is State.COMPLETED and leg.completed_by == claim.token
        assert self.do(self.ledger.complete(claim, {})) == (again or owned is not None)
        if owned:
            leg.starts, leg.attempts, leg.completed_by = 0, leg.attempts + 1, claim.token
            model.end(leg, State.COMPLETED)

    @rule(claim=claims, how=st.sampled_from(("retry", "release", "crashed")))
    def hand_over(self, claim: Claim, how: str) -> None:
        leg = self._owned(claim)
        match how:
            case "retry":
                worked = self.do(self.ledger.retry(claim, "boom", 0)) is not None
            case "release":
                worked = self.do(self.ledger.release(claim))
            case _:
                worked = self.do(self.ledger.crashed(claim, "signal 9"))
        assert worked == (leg is not None), how
        match how:
            case "retry" if leg:
                leg.retry()
            case "release" if leg:
                leg.rest(State.QUEUED)
                leg.starts -= 1
            case "crashed" if leg and leg.starts == claim.earlier_starts + 1:  # told again, it counts no more
                leg.starts, leg.live = leg.starts + 1, True

    @rule(target=letters, claim=claims)
    def bury(self, claim: Claim) -> Any:
        return multiple(*self._bury(claim))

    def _bury(self, claim: Claim) -> list[Letter]:
        leg = self._owned(claim)
        assert self.do(self.ledger.bury(claim, "no")) == (leg is not None)
        if leg is None:
            return []
        leg.attempts, leg.unsent = leg.attempts + 1, True
        self.jobs[claim.job_id].end(leg, State.DEAD)
        return [(claim.job_id, claim.backend)]

    # In one step, or few jobs would come so far

    @precondition(lambda self: any(not job.over and not job.cancel for job in self.jobs.values()))
    @rule(target=letters, job=jobs_, paid=st.booleans())
    def die(self, job: str, paid: bool) -> Any:
        return multiple(*self._die(self.jobs[job], paid))

    @rule(target=letters, job=jobs_, paid=st.booleans(), give_back=OFTEN, to=TO, edit=EDIT)
    def come_back(self, job: str, paid: bool, give_back: bool, to: Backend | None, edit: str | None) -> Any:
        """Dead everywhere, given back what was taken, and redriven."""
        model = self.jobs[job]
        letters = self._die(model, paid)
        if model.debt is Debt.OWED and give_back:
            self._pay(model, model.round, tell=False)
        for letter in letters[:1]:
            self._redrive(letter, to, edit)
        return multiple(*letters)

    def _die(self, model: Job, paid: bool) -> list[Letter]:
        letters: list[Letter] = []
        for backend in list(model.legs):
            self._let_lease_end(model, backend)
            if claim := self._claim(model, backend):
                if paid:
                    self._try(claim, PAYMENT, "finish")
                letters += self._bury(claim)
        return letters

    # Effects

    @rule(
        claim=claims,
        step=st.sampled_from((PAYMENT, PAYMENT, DOCUMENT, INVENTORY)),  # the last confirms a booking
        how=st.sampled_from(("begin", "finish", "only finish")),
    )
    def effect(self, claim: Claim, step: Step, how: str) -> None:
        self._try(claim, step, how)

    def _try(self, claim: Claim, step: Step, how: str) -> None:
        """Done at most once a round, whoever tries, and never by one who lost its lease."""
        model, leg, us = self.jobs[claim.job_id], self._owned(claim), (claim.backend, claim.token)
        if how != "only finish":
            try:
                reused = self.do(self.book.effects.claim(claim, step)) is not None
            except LeaseLost:
                assert leg is None
                return
            except EffectHeld:
                assert leg and model.held_by_another(step.name, us)
                return
            assert leg and not model.held_by_another(step.name, us)
            assert reused == (step.name in model.done)
            if not reused:
                model.tried[step.name] = us
        if how == "begin":
            return
        ours = leg is not None and model.tried.get(step.name) == us and step.name not in model.done
        try:
            self.do(self.book.effects.done(claim, step, {}))
        except LeaseLost:
            assert not ours
        else:
            assert ours
            model.done.add(step.name)

    # Cancelling, and giving back

    @precondition(lambda self: any(not job.cancel for job in self.jobs.values()))
    @rule(job=jobs_, go_on=OFTEN)
    def cancel(self, job: str, go_on: bool) -> None:
        """Mostly of one that came back: too often, and little else is tried."""
        came_back = [each.id for each in self.jobs.values() if each.round > 1 and not each.cancel]
        for one in came_back[:1] if go_on else [job]:
            assert self.do(self.cancellations.ask(one)).outcome == self.jobs[one].call_off()

    @precondition(lambda self: any(job.owing for job in self.jobs.values()))
    @rule(pay=OFTEN, tell=st.booleans())
    def compensate(self, pay: bool, tell: bool) -> None:
        owed, untold = self.do(self.compensations.take(10, 0)), self.do(self.compensations.untold(10, 0))
        put_off = {job.id for job in self.jobs.values() if job.failures}  # until when, is the ledger's business
        for taken, line in ((owed, "compensations"), (untold, "untold")):
            assert lists(self.jobs.values())[line] - put_off <= set(taken) <= lists(self.jobs.values())[line]
        for job in self.jobs.values():
            if pay and job.id in owed:
                self._pay(job, job.round, tell)

    def _pay(self, model: Job, round_: int, tell: bool) -> None:
        assert self.do(self.compensations.done(model.id, round_, {}, mail=tell)) == model.pay(round_, tell)

    @rule(job=jobs_, behind=BEHIND, how=st.sampled_from(("pay", "tell", "defer")), tell=st.booleans())
    def word_of_a_compensator(self, job: str, behind: int, how: str, tell: bool) -> None:
        """Who may have taken the job long ago, in a round that is over."""
        model = self.jobs[job]
        round_ = model.round - behind
        match how:
            case "pay":
                self._pay(model, round_, tell)
            case "tell" if behind or model.debt is Debt.PAID:
                self.do(self.compensations.told(job, round_, mailed=tell))
                model.untold = model.untold and behind > 0
            case "defer":
                model.failures += not behind
                assert self.do(self.compensations.defer(job, round_, 60_000)) == (0 if behind else model.failures)

    # Dead letters

    @rule(letter=letters, to=TO, edit=EDIT)
    def redrive(self, letter: Letter, to: Backend | None, edit: str | None) -> None:
        self._redrive(letter, to, edit)

    def _redrive(self, letter: Letter, to: Backend | None, edit: str | None) -> None:
        job_id, backend = letter
        model, there = self.jobs[job_id], to or backend
        against, data = model.why_dead(backend, there, edit is not None), {"n": model.round}
        if to is None and edit is None:
            answer = self.do(self.ledger.redrive(job_id, backend))
        else:
            answer = self.do(self.ledger.redrive_as(job_id, backend, there, Edit(edit, data) if edit else None))
        if against:
            assert answer in against, (answer, against)
            return
        if edit:
            model.type, model.data = edit, data
        assert answer == LegRef(job_id, model.redrive(backend, there))
        assert self._claim(model, there, behind=1) is None, "what its broker still has of the last generation"

    @rule(letter=letters)
    def discard(self, letter: Letter) -> None:
        job_id, backend = letter
        leg = self.jobs[job_id].legs[backend]
        dead = "discarded" if leg.letter else "moved or discarded"
        answer = self.do(self.ledger.discard(job_id, backend))
        assert answer == (dead if leg.state is State.DEAD else leg.state)
        leg.letter = False

    # After each

    @invariant()
    def the_ledger_is_as_the_model_says(self) -> None:
        expected = lists(self.jobs.values())
        jobs, members = self.do(seen(self.book, list(self.jobs), list(expected)))
        assert jobs == {job.id: job.told() for job in self.jobs.values()}
        assert members == expected


def test_no_order_of_events_breaks_the_ledger(redis_settings: Settings) -> None:
    async def open_() -> Redis:
        return connect(redis_settings)

    with asyncio.Runner() as own:

        class Machine(LedgerMachine):
            given, runner, redis = redis_settings, own, own.run(open_())

        Machine.TestCase.settings = settings(
            max_examples=100,
            stateful_step_count=40,
            deadline=None,
            phases=(Phase.generate,),  # a red run is to end soon
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        try:
            Machine.TestCase().runTest()
        finally:
            own.run(Machine.redis.aclose())
