"""What a backend service does whatever its broker: publishes legs of the ledger, accepts direct posts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

import orjson
from pydantic import ValidationError

from booking_queue import logs, trace
from booking_queue.backends.base import Published, Publisher
from booking_queue.clock import iso
from booking_queue.domain.access import NO_TENANT_SIMULATES
from booking_queue.domain.errors import BackendUnavailable, LedgerUnavailable
from booking_queue.domain.job import NewJob, Options, State
from booking_queue.ledger.backlog import read_backlog
from booking_queue.ledger.epoch import TOLD_SECONDS, Epoch
from booking_queue.ledger.ledger import Ledger, LegRef
from booking_queue.ledger.pressure import Pressure, each_accepted
from booking_queue.ledger.script import Scripts
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from booking_queue.web.body import LIMIT
from booking_queue.web.outages import for_now
from booking_queue.web.problems import FieldError, Problem
from booking_queue.web.schemas import BatchItem, DirectJob, fields_of
from booking_queue.web.validation import from_fields

PUBLISH_SHARE = 0.8  # of the gateway's deadline: our "pending" should reach it before it gives up

log = logs.get("backend_service")


@dataclass(frozen=True, slots=True)
class Submitted:
    """A direct post that is in the ledger, and where its only leg is now."""

    job_id: str
    type: str
    data: dict[str, Any]
    options: Options
    state: State
    receipt: dict[str, Any] | None
    accepted: int  # ms

    @property
    def status(self) -> str:
        """queued, delayed, or pending while the broker cannot be reached or another of its ordering key goes first."""
        return self.state if self.state in (State.PENDING, State.DELAYED) else State.QUEUED

    @property
    def scheduled_for(self) -> str | None:
        return iso(self.accepted + self.options.delay)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one item of a batch was not accepted; `errors` as in a problem document."""

    error: str
    errors: list[dict[str, str]]


def must_not_simulate(tenant: str, kind: str, data: Mapping[str, Any]) -> None:
    """Raises Problem where a tenant asks for faults."""
    if tenant and kind == "booking" and data.get("simulate") is not None:
        raise from_fields([FieldError("data.simulate", NO_TENANT_SIMULATES, "refused")])


class BackendService:
    """Raises LedgerUnavailable when Redis does not answer, and Overloaded when it has no room for new work."""

    def __init__(self, publisher: Publisher, scripts: Scripts, settings: Settings, metrics: Metrics):
        self.publisher = publisher
        self.backend = publisher.backend
        self.scripts = scripts
        self.redis = scripts.redis
        self.ledger = Ledger(scripts)
        self.pressure = Pressure(scripts.redis)
        self.settings = settings
        self.metrics = metrics
        self.epoch = Epoch(self.redis, settings, metrics)

    def alarms(self) -> list[str]:
        """What happened to the ledger in the last minutes and never should."""
        refused = self.scripts.refused_at
        recently = refused is not None and time.monotonic() - refused < TOLD_SECONDS
        return [*(["ledger_emptied"] if self.epoch.alarmed else []), *(["redis_refused"] if recently else [])]

    async def publish(self, legs: Sequence[LegRef]) -> list[Published]:
        """An answer a leg, in their order. What went wrong is `pending`: the outbox sends it again."""
        answers: Sequence[Published | Exception]
        try:
            async with asyncio.timeout(PUBLISH_SHARE * self.settings.publish_deadline):
                answers = await self.publisher.publish(legs)
        except (TimeoutError, BackendUnavailable, LedgerUnavailable) as error:
            answers = [error] * len(legs)
        failed = [answer for answer in answers if isinstance(answer, Exception)]
        if failed:
            log.warning("publish_failed", legs=len(failed), why=f"{type(failed[0]).__name__}: {failed[0]}")
        published = [
            Published(leg.job_id, State.PENDING, None) if isinstance(answer, Exception) else answer
            for leg, answer in zip(legs, answers, strict=True)
        ]
        sent = sum(answer.state is not State.PENDING for answer in published)
        self.metrics.jobs_enqueued.labels(self.backend).inc(sent)
        return published

    async def submit(self, job: DirectJob, tenant: str = "") -> Submitted:
        """Accepts a direct post as a record of one leg, then publishes it."""
        await self.pressure.must_have_room()
        new = self._new(job, tenant)
        accepted = await self.ledger.accept(new)
        (published,) = await self.publish([LegRef(new.id, 1)])
        return _submitted(new, published, accepted)

    async def submit_many(self, items: Sequence[Any], tenant: str = "") -> list[Submitted | Refusal]:
        """One answer per item, in their order. An item is a direct post that may have its own `delay`."""
        await self.pressure.must_have_room()
        read = [self._read(item, tenant) for item in items]
        new = [item for item in read if isinstance(item, NewJob)]
        answers = await each_accepted(self.ledger.accept(job) for job in new)
        told = {job.id: answer for job, answer in zip(new, answers, strict=True)}
        legs = [LegRef(job_id, 1) for job_id, answer in told.items() if isinstance(answer, int)]
        published = {leg.job_id: leg for leg in await self.publish(legs)}

        def outcome(job: NewJob) -> Submitted | Refusal:
            answer = told[job.id]
            if isinstance(answer, int):
                return _submitted(job, published[job.id], answer)
            return Refusal(for_now(answer), [])

        return [outcome(item) if isinstance(item, NewJob) else item for item in read]

    def _new(self, job: DirectJob, tenant: str) -> NewJob:
        """Raises Problem."""
        must_not_simulate(tenant, job.type, job.data)
        return NewJob.model_construct(
            id=str(uuid4()),
            type=job.type,
            data=job.data,
            options=job.run_options(),
            backends=[self.backend],
            trace=trace.current.get(),
            tenant=tenant,
        )

    def _read(self, item: Any, tenant: str) -> NewJob | Refusal:
        if len(orjson.dumps(item)) > LIMIT:
            return Refusal(f"The item is larger than {LIMIT} bytes", [])
        try:
            return self._new(BatchItem.model_validate(item), tenant)
        except ValidationError as error:
            fields = fields_of(error, BatchItem)
            missing = any(field["code"] == "missing" for field in fields)
            return Refusal("Missing type or data" if missing else "Invalid item", fields)
        except Problem as problem:
            return Refusal(problem.error, [asdict(each) for each in problem.errors])

    async def stats(self) -> dict[str, Any]:
        """The broker's own counts, `backlog` among them, beside the ledger's. `oldestAgeSeconds` is of what could start
        and has not: by the ledger, on each backend alike, or of a stranger's job, which the broker alone knows."""
        ours, theirs, _ = await asyncio.gather(
            read_backlog(self.redis, self.settings, self.backend), self.publisher.stats(), self.epoch.look()
        )
        return {
            **theirs,
            "oldestAgeSeconds": max(ours.oldest_age, theirs.get("oldestAgeSeconds", 0)),
            "outbox": ours.outbox,
            "outboxOldestAgeSeconds": ours.outbox_oldest_age,
            "ledger": {"emptied": self.epoch.emptied, "writesRefused": dict(self.scripts.refused)},
        }


def _submitted(job: NewJob, published: Published, accepted: int) -> Submitted:
    return Submitted(job.id, job.type, job.data, job.options, published.state, published.receipt, accepted)
