"""What the gateway answers. The type checker holds the code to it; OpenAPI and the pages' types are made of it."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from booking_queue.domain.job import Backend, State
from booking_queue.ledger.record import BookingState


class Timestamps(TypedDict):
    enqueued: str | None
    started: str | None
    finished: str | None


class LegAnswer(TypedDict):
    """A job on one backend. `due`: when it goes on, of one that waits for its time. `limitedBy`: the limit that holds
    it up: a backend, `type:` and a type, or `rateLimit` for its own."""

    state: State
    progress: int
    attempts: int
    step: str | None
    worker: str | None
    timestamps: Timestamps
    due: str | None
    limitedBy: str | None
    error: str | None
    receipt: dict[str, Any] | None
    result: Any
    generation: int


class EffectAnswer(TypedDict):
    """Which leg did the step, and when."""

    by: str
    at: str | None


class Compensation(TypedDict):
    """What was given back, in cents, and whether a mail told so."""

    at: str | None
    refunded: NotRequired[int]
    mailed: NotRequired[bool]


class BookingStatus(TypedDict):
    bookingId: str
    state: BookingState
    status: dict[str, LegAnswer]
    effects: dict[str, EffectAnswer]
    compensation: Compensation | None


class BookingResult(TypedDict):
    bookingId: str
    status: Literal["confirmed"]
    confirmedAt: str
    confirmationNumber: str
    workerId: str | None


class Links(TypedDict):
    self: str
    status: str
    events: str
    confirmation: str


class Asked(TypedDict, total=False):
    """What was asked for. A job of type booking that was put on a broker directly may lack any of it."""

    userId: str
    hotelId: str
    checkIn: str
    checkOut: str
    guests: int
    roomType: str
    simulate: dict[str, Any]


class BookingAnswer(BookingStatus, Asked):
    createdAt: str
    priority: str
    delaySeconds: float
    result: BookingResult | None
    links: Links


class BookingPage(TypedDict):
    items: list[BookingAnswer]
    nextCursor: str | None


class AcceptedLeg(TypedDict):
    jobId: NotRequired[str]
    messageId: NotRequired[str]
    status: State
    receipt: NotRequired[dict[str, Any]]


class AcceptedBooking(TypedDict):
    bookingId: str
    queues: dict[str, AcceptedLeg]
    links: Links


class DelayedAnswer(AcceptedBooking):
    delaySeconds: float
    scheduledFor: str
    jobId: str
    message: str


class BatchItem(TypedDict):
    """`error` and `errors` where it was refused, the others where it was accepted."""

    index: int
    status: Literal["accepted", "refused"]
    bookingId: NotRequired[str]
    queues: NotRequired[dict[str, AcceptedLeg]]
    links: NotRequired[Links]
    error: NotRequired[str]
    errors: NotRequired[list[dict[str, str]]]


class BatchAnswer(TypedDict):
    accepted: int
    refused: int
    items: list[BatchItem]


class Cancelling(TypedDict):
    bookingId: str
    state: Literal["cancelling"]
    links: Links


class LetterLinks(TypedDict):
    self: str


class LetterAnswer(TypedDict):
    """A leg that died. `readable` false: what lay on the broker is no job; it needs a type before it can run."""

    id: str
    backend: Backend
    type: str
    error: str | None
    attempts: int
    redrives: int
    failedAt: str | None
    createdAt: str
    step: str | None
    worker: str | None
    data: dict[str, Any]
    readable: bool
    links: LetterLinks


class InspectedLetter(LetterAnswer):
    options: dict[str, Any]
    receipt: dict[str, Any] | None
    legs: dict[str, State]
    timeline: list[Any]


class LetterPage(TypedDict):
    items: list[LetterAnswer]
    nextCursor: str | None


class RedrivenLetter(TypedDict):
    id: str
    backend: Backend
    state: State
    receipt: dict[str, Any] | None


class DiscardedLetter(TypedDict):
    id: str
    backend: Backend
    outcome: Literal["discarded"]


class LetterOutcome(TypedDict):
    backend: Backend
    id: str
    outcome: Literal["redriven", "discarded", "refused"]
    state: NotRequired[State]
    error: NotRequired[str]


class RedrivenLetters(TypedDict):
    redriven: int
    refused: int
    items: list[LetterOutcome]
    nextCursor: str | None


class DiscardedLetters(TypedDict):
    discarded: int
    refused: int
    items: list[LetterOutcome]
    nextCursor: str | None


class RateAnswer(TypedDict):
    max: int
    durationMs: int


class LimitAnswer(TypedDict):
    """Of a tenant `outstanding` alone; `paused` of backends. `waiting`: jobs in its line, on all backends. `running`:
    those that hold a place, of a `concurrency` alone."""

    concurrency: NotRequired[int | None]
    rate: NotRequired[RateAnswer | None]
    waiting: NotRequired[int]
    running: NotRequired[int]
    outstanding: NotRequired[int | None]
    paused: NotRequired[bool]


class LimitsAnswer(TypedDict):
    limits: dict[str, LimitAnswer]


class SessionAnswer(TypedDict):
    """`tenant` and `scopes` are of the key that this browser came with; "": no tenant's, it sees everybody's."""

    required: bool
    expiresAt: str | None
    tenant: str
    scopes: list[str]
