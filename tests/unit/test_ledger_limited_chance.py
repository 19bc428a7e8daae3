"""Limits under anything that may happen, in any order: nobody is forgotten in a line, and no more run than may."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from booking_queue.domain.job import TERMINAL, Backend, State
from booking_queue.ledger.cancel import Cancellations
from booking_queue.ledger.ledger import Claim, LegRef
from booking_queue.ledger.limits import Limits
from booking_queue.settings import Settings
from tests.unit.test_ledger_limited import KAFKA, OWN, RQ, STREAMS, Line, line_of

BACKENDS = (RQ, STREAMS, KAFKA)
STEPS = 150
OVER = TERMINAL | {State.CANCELLING}  # nothing here gives back what a booking owes


@dataclass
class Chance:
    """`copies` are what the brokers hold, `running` what workers do."""

    line: Line
    dice: random.Random
    most: int | None = None
    jobs: list[str] = field(default_factory=list)
    copies: list[tuple[LegRef, Backend]] = field(default_factory=list)
    running: list[tuple[Claim, int]] = field(default_factory=list)

    async def accept(self) -> None:
        backend = self.dice.choice(BACKENDS)
        own = {"rate_limit": OWN} if self.dice.random() < 0.3 else {}
        self.jobs.append(await self.line.job(backend, **own))
        self.copies.append((LegRef(self.jobs[-1], 1), backend))

    async def deliver(self) -> None:
        if not self.copies:
            return
        leg, backend = self.copies.pop(self.dice.randrange(len(self.copies)))
        if self.dice.random() < 0.1:
            self.copies.append((leg, backend))  # a broker may deliver one twice
        answer = await self.line.ledger.claim(leg.job_id, backend, leg.generation, "w")
        if isinstance(answer, Claim):
            self.running.append((answer, leg.generation))
        elif answer.reason == "busy":
            self.copies.append((leg, backend))

    async def end(self) -> None:
        if not self.running:
            return
        claim, generation = self.running.pop(self.dice.randrange(len(self.running)))
        ledger = self.line.ledger
        how = self.dice.choice(("complete", "complete", "release", "retry", "bury"))
        if how == "complete":
            await ledger.complete(claim, {})
        elif how == "bury":
            await ledger.bury(claim, "no")
        elif how == "release" and await ledger.release(claim):
            self.copies.append((LegRef(claim.job_id, generation), claim.backend))
        elif how == "retry" and (leg := await ledger.retry(claim, "boom", 0)):
            self.copies.append((leg, claim.backend))

    async def cancel(self) -> None:
        if self.jobs and self.dice.random() < 0.3:
            await Cancellations(self.line.book.scripts).ask(self.dice.choice(self.jobs))

    async def put(self) -> None:
        """Never lower than what runs, or was cancelled and may not have noticed: a limit ends nothing."""
        taken = max(len(self.running), await self.line.redis.zcard(self.line.key("running:type:noop")))
        self.most = self.dice.choice((max(2, taken), max(4, taken), None))
        rate = {"rate": 40, "window": 86_400_000} if self.dice.random() < 0.5 else {"rate": None, "window": None}
        await Limits(self.line.book.scripts).put(
            {"type:noop": {"concurrency": self.most}, self.dice.choice(BACKENDS): rate}
        )

    async def look(self) -> None:
        for backend in BACKENDS:
            self.copies += [(leg, backend) for leg in await self.line.outbox.due(backend)]

    async def pass_time(self) -> None:
        limits = await self.line.members("limited")
        for log in ("expected:type:noop", *(f"{log}:{limit}" for limit in limits for log in ("starts", "expected"))):
            await self.line.pass_time(log)

    async def nobody_is_forgotten(self) -> None:
        limits = await self.line.members("limited")
        for job in self.jobs:
            for backend, leg in (await self.line.book.record(job)).legs.items():
                flat = await self.line.redis.hget(self.line.key(f"job:{job}"), f"{backend}.limited")
                stands = [limit for limit in limits if job in await self.line.members(f"limited:{backend}:{limit}")]
                assert stands == ([flat.decode()] if flat else []), (job, leg)
                assert not (stands and leg.state in OVER)


@pytest.fixture
async def line(redis_settings: Settings) -> AsyncIterator[Line]:
    async with line_of(redis_settings) as line:
        yield line


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_all_end_once_nothing_holds_them_up(line: Line, seed: int) -> None:
    chance = Chance(line, random.Random(seed))
    ways = (chance.accept, chance.deliver, chance.deliver, chance.end, chance.look, chance.put, chance.cancel)
    for step in range(STEPS):
        await chance.dice.choice((*ways, chance.pass_time))()
        taken = await line.redis.zcard(line.key("running:type:noop"))
        assert chance.most is None or taken <= chance.most
        if step % 10 == 0:
            await chance.nobody_is_forgotten()
    none = {"concurrency": None, "rate": None, "window": None}
    await Limits(line.book.scripts).put(dict.fromkeys(("type:noop", *BACKENDS), none))
    for _ in range(3 * len(chance.jobs)):
        await chance.pass_time()
        await chance.look()
        for _ in range(len(chance.copies)):
            await chance.deliver()
        for claim, _ in chance.running:
            await line.ledger.complete(claim, {})
        chance.running.clear()
    states = {leg.state for job in chance.jobs for leg in (await line.book.record(job)).legs.values()}
    assert states <= OVER and chance.jobs
    assert await line.members("limited") == []
