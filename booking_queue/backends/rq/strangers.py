"""Jobs that somebody enqueued with RQ itself: they get a record in the ledger, and from then on are like any other."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from booking_queue import logs
from booking_queue.backends.envelope import Envelope
from booking_queue.domain.errors import UnreadableMessage
from booking_queue.domain.job import Backend, Options, Priority
from booking_queue.handlers import registry
from booking_queue.ledger.ledger import Ledger

MAX_ATTEMPTS = 5
MAX_TIMEOUT_S = 3600

log = logs.get("rq")


def is_stranger(meta: dict[str, Any]) -> bool:
    """What we publish, and what we adopted and retried, carries its generation."""
    return "generation" not in meta


def options_of(retries_left: int | None, timeout: int | None, level: Priority) -> Options:
    """What RQ was asked for, as far as it can be kept: Retry(max=…), job_timeout, and the queue's level."""
    chosen: dict[str, Any] = {"priority": level}
    if retries_left is not None:
        chosen["attempts"] = min(MAX_ATTEMPTS, retries_left + 1)
    if timeout is not None and timeout > 0:
        chosen["timeout"] = min(MAX_TIMEOUT_S, timeout) * 1000
    return Options(**chosen)


def _as_rq_writes_it(job_id: str) -> bool:
    """One that is spelled in another way could not be asked for: whoever asks is understood to mean this one."""
    try:
        return str(UUID(job_id)) == job_id
    except ValueError:
        return False


async def adopt(ledger: Ledger, envelope: Envelope, options: Options) -> None:
    """Raises UnreadableMessage, naming the remedy, for a job that cannot become one of ours."""
    if envelope.type not in registry():
        known = ", ".join(sorted(registry()))
        raise UnreadableMessage(f"{envelope.type!r} is not a job type; known are {known}")
    if not _as_rq_writes_it(envelope.id):
        raise UnreadableMessage(
            "the job's id is not a UUID in lower case with hyphens: leave job_id out when enqueueing, RQ then makes one"
        )
    if await ledger.adopt(envelope.id, Backend.RQ, envelope.type, envelope.data, options):
        log.event("job_adopted", jobId=envelope.id, jobType=envelope.type)
