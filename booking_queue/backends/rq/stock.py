"""The other side: RQ's own worker runs a job of ours, under the same claim in the same ledger.

RQ's worker keeps RQ's records itself, from what the job's function returns or raises. So this delivery changes the
ledger alone, and `conclude` tells RQ what became of the job.
"""

from __future__ import annotations

import math
from typing import Any

import orjson
from redis import SSLConnection
from rq import Retry, get_current_job
from rq.job import Job

from booking_queue.backends.envelope import Envelope
from booking_queue.backends.rq.consumer import QUEUE
from booking_queue.backends.rq.strangers import adopt, is_stranger, options_of
from booking_queue.domain.job import Backend, Priority, State
from booking_queue.ledger.ledger import Claim, Ledger, dumps
from booking_queue.settings import Settings

LIMITED_SECONDS = 30
FOREVER = 1_000_000  # RQ's count of tries must not end what the ledger's has not


class JobFailed(Exception):
    """RQ's worker writes it into the failed registry."""


class NoJob(RuntimeError):
    """Called outside of an RQ worker."""


class StockJob:
    """The job that RQ's worker has in hand in this process."""

    def __init__(self) -> None:
        job = get_current_job()
        if job is None:
            raise NoJob("this function is for `rq worker --serializer json` to call")
        self.job: Job = job

    @property
    def worker_id(self) -> str:
        return f"rq-{self.job.worker_name or 'worker'}"

    def settings(self) -> Settings:
        """Redis is the one that the job came from, and the queue's name tells the prefix of all names."""
        known: dict[str, Any] = {}
        pool = self.job.connection.connection_pool
        place = pool.connection_kwargs
        if "host" in place:
            names = {
                "redis_host": "host",
                "redis_port": "port",
                "redis_username": "username",
                "redis_password": "password",
                "redis_ca_file": "ssl_ca_certs",
            }
            known = {ours: place.get(theirs) for ours, theirs in names.items()}
            known["redis_tls"] = "on" if issubclass(pool.connection_class, SSLConnection) else "off"
        return Settings(name_prefix=self._parts[0], **known)

    @property
    def _parts(self) -> tuple[str, str]:
        prefix, found, suffix = self.job.origin.rpartition(QUEUE)
        return (prefix, suffix) if found else ("", "")

    @property
    def level(self) -> Priority:
        return next((level for level in Priority if level.suffix == self._parts[1]), Priority.NORMAL)

    async def delivery(self, ledger: Ledger, kind: str, data: dict[str, Any]) -> StockDelivery:
        """Raises UnreadableMessage for a stranger that cannot be adopted."""
        meta = self.job.meta
        envelope = Envelope.of(
            {
                "id": self.job.id,
                "type": kind,
                "data": data,
                "generation": meta.get("generation", 1),
                "trace": meta.get("traceparent", ""),
            }
        )
        if is_stranger(meta):
            timeout = int(self.job.timeout) if self.job.timeout else None
            await adopt(ledger, envelope, options_of(self.job.retries_left, timeout, self.level))
        return StockDelivery(self.job, ledger, envelope)


class StockDelivery:
    def __init__(self, job: Job, ledger: Ledger, envelope: Envelope):
        self.envelope = envelope
        self._job = job
        self._ledger = ledger
        self._result: Any = None
        self._failure = "no outcome: it runs again"
        self._settled = False

    async def extend(self, claim: Claim | None) -> bool:
        """RQ's worker renews RQ's part."""
        return claim is None or await self._ledger.extend(claim)

    async def ack(self, claim: Claim | None, result: Any = None) -> bool:
        if claim is None:
            await self._as_known()
            return True
        return self._settle(await self._ledger.complete(claim, result), result)

    async def _as_known(self) -> None:
        """The job is over, or a newer copy is under way: RQ is told what the ledger knows."""
        record = await self._ledger.get(self.envelope.id)
        leg = record.legs.get(Backend.RQ) if record else None
        if leg and leg.state is State.DEAD:
            self._bury(leg.error or "dead")
        elif leg and leg.limited_by:  # RQ's scheduler brings this copy back, should the line not have let it in by then
            self._job.meta["generation"] = leg.generation
            self._settle(True, Retry(max=FOREVER, interval=LIMITED_SECONDS))
        else:
            self._settle(True, leg.result if leg else None)

    async def retry(self, claim: Claim, error: str, delay_ms: int) -> bool:
        """The ledger's outbox row stands until the next claim, should this process end before RQ has written."""
        leg = await self._ledger.retry(claim, error, delay_ms)
        if leg is None:
            return False
        self._job.meta["generation"] = leg.generation
        # RQ cuts the time to whole seconds: one more, and it is never early.
        return self._settle(True, Retry(max=FOREVER, interval=math.ceil(delay_ms / 1000) + 1))

    async def bury(self, claim: Claim | None, reason: str, *, killer: bool = False) -> bool:
        if claim and not await self._ledger.bury(claim, reason, killer=killer):
            return False
        self._bury(reason)
        return True

    async def release(self, claim: Claim | None) -> None:
        if claim:
            await self._ledger.release(claim)

    def _settle(self, settled: bool, result: Any) -> bool:
        self._settled, self._result = settled, result
        return settled

    def _bury(self, reason: str) -> None:
        self._settled, self._failure = False, reason
        self._job.retries_left = 0

    def conclude(self) -> Any:
        """What the job's function returns to RQ's worker. Raises JobFailed."""
        if not self._settled:
            raise JobFailed(self._failure)
        return self._result if isinstance(self._result, Retry) else orjson.loads(dumps(self._result))


def refuse(reason: str) -> JobFailed:
    """No attempt can succeed: RQ is not to try again."""
    StockJob().job.retries_left = 0
    return JobFailed(reason)
