"""What can go wrong, and what the worker does about it.

BookingQueueError
├── RetryableError          the attempt failed, another may succeed: backoff, then dead
│   └── SimulatedFailure    asked for by `simulate` or SIMULATED_FAILURE_RATE
├── PermanentError          no attempt can succeed: dead at once
│   └── InvalidData         the payload is wrong; names each field
├── UnreadableMessage       bytes that are no envelope: dead letter, never run
├── LeaseLost               another worker owns this job now: change nothing, stop
├── EffectHeld              another leg is doing this step: park, then look again
├── LedgerUnavailable       Redis does not answer: 503
├── BackendUnavailable      a broker or its service does not answer: the leg stays pending
└── Overloaded              as much is outstanding as may be, the ledger is nearly full, or too many wait for it: 503
    └── TenantOverloaded    of one tenant: 429
"""

from __future__ import annotations

REASON_BYTES = 1000
CUT = " … (cut)"


class BookingQueueError(Exception):
    """Base of all errors of ours. What one says is bounded: it becomes a reason, which is kept in many places."""

    def __str__(self) -> str:
        return bounded(super().__str__())


class RetryableError(BookingQueueError):
    pass


class SimulatedFailure(RetryableError):
    pass


class PermanentError(BookingQueueError):
    pass


class InvalidData(PermanentError):
    """`fields` maps each bad field to what is wrong with it."""

    def __init__(self, fields: dict[str, str]):
        self.fields = fields
        super().__init__("Invalid data: " + "; ".join(f"{name}: {why}" for name, why in fields.items()))


class UnreadableMessage(BookingQueueError):
    pass


class LeaseLost(BookingQueueError):
    pass


class EffectHeld(BookingQueueError):
    """`wait_ms`: until the holder's lease ends, should it not finish before."""

    def __init__(self, step: str, wait_ms: int):
        self.step = step
        self.wait_ms = wait_ms
        super().__init__(f"{step} is held by another leg for up to {wait_ms} ms")


class LedgerUnavailable(BookingQueueError):
    pass


class BackendUnavailable(BookingQueueError):
    pass


class Overloaded(BookingQueueError):
    pass


class TenantOverloaded(Overloaded):
    """`most`: how many jobs without an outcome the tenant may have."""

    def __init__(self, most: int):
        self.most = most
        super().__init__(f"{most} of your jobs are outstanding, and no more may be")


def bounded(text: str) -> str:
    """A reason as it is kept and told: an error may quote all that a client sent, and bytes that are no text."""
    raw = text.encode(errors="replace")
    return raw[:REASON_BYTES].decode(errors="ignore") + (CUT if len(raw) > REASON_BYTES else "")
