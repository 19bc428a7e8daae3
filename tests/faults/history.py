"""What a trial leaves behind, as plain values: the evidence that the checker judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What the client learned of one attempt."""

    ACKED = "ack"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # sent, and no answer came: it may or may not have been taken
    CUT_OFF = "cut off"  # the load generator itself ended before


class Expected(StrEnum):
    COMPLETED = "completed"  # and confirmed, unless somebody cancels it
    DEAD = "dead"
    ENDED = "ended"  # either will do


TOGETHER = "all three"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One booking that was sent, once, under a user of its own, to one backend or to all of them TOGETHER."""

    user: str
    backend: str
    expected: Expected = Expected.COMPLETED
    outcome: Outcome = Outcome.ACKED
    booking: str = ""
    status: int = 0
    seconds: float = 0.0
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """How a leg stood at the end, and whether its booking is confirmed."""

    booking: str
    user: str
    backend: str
    state: str
    confirmed: bool
    error: str = ""
    cancelled: bool = False  # the booking; legs that were completed before stay so


@dataclass(frozen=True, slots=True)
class Event:
    """Of a job's audit; `at` in ms since 1970."""

    at: int
    event: str
    backend: str = ""
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A worker that was killed or frozen, and when (ms since 1970)."""

    at: int
    worker: str


@dataclass(frozen=True, slots=True)
class Night:
    name: str
    total: int
    taken: int
    sold: int


@dataclass(frozen=True, slots=True)
class Quiet:
    """`after`: seconds from the last fault, or the last booking sent if that was later, until nothing was left to do;
    None if that never came. `left` tells what there still was, `ownerless` the keys that nobody would ever remove."""

    after: float | None
    left: Mapping[str, int] = field(default_factory=dict)
    ownerless: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Poison:
    """What was put past the gateway straight into a broker, and the reason it was dead-lettered with ('' if not)."""

    name: str
    backend: str
    reason: str


@dataclass(frozen=True, slots=True)
class History:
    attempts: Sequence[Attempt]
    ends: Sequence[End]
    quiet: Quiet
    charges: Mapping[str, int] = field(default_factory=dict)  # by key
    refunds: Mapping[str, int] = field(default_factory=dict)  # by key: charges given back
    raw_charges: int = 0
    raw_mails: int = 0
    mails: Mapping[str, int] = field(default_factory=dict)  # by booking: confirmations that differ in their Message-ID
    nights: Sequence[Night] = ()
    audits: Mapping[str, Sequence[Event]] = field(default_factory=dict)  # by booking
    stopped: Sequence[Stopped] = ()
    copies: Mapping[str, int] = field(default_factory=dict)  # messages by "backend job …"
    owners: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by entry: who held it, one after the other
    poisons: Sequence[Poison] = ()
    versions: Mapping[str, Sequence[int]] = field(default_factory=dict)  # by ordering key, as they were applied
    cancels: Mapping[str, int] = field(default_factory=dict)  # by booking: what asking to cancel it was answered with


def read_log(lines: Sequence[Mapping[str, Any]]) -> list[Attempt]:
    """The attempts of a load log, each with the last word about it."""
    found: dict[str, Attempt] = {}
    for line in lines:
        user = str(line["user"])
        if line["what"] == "attempt":
            found[user] = Attempt(user, line["backend"], Expected(line["expected"]), Outcome.CUT_OFF)
            continue
        sent = found[user]
        found[user] = Attempt(
            user,
            sent.backend,
            sent.expected,
            Outcome(line["what"]),
            line.get("bookingId", ""),
            line.get("status", 0),
            line["seconds"],
            line.get("retryAfter", ""),
        )
    return list(found.values())
