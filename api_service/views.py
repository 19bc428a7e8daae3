"""How a booking looks from outside. Everything is derived from its record."""

from __future__ import annotations

from typing import cast

from api_service.answers import (
    AcceptedLeg,
    Asked,
    BookingAnswer,
    BookingResult,
    BookingStatus,
    Compensation,
    EffectAnswer,
    LegAnswer,
    Links,
)
from api_service.link import Sent
from booking_queue.clock import iso
from booking_queue.domain.booking import STEP_NAMES, confirmation_number
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.record import BookingState, Leg, Record

_WAITING = (State.DELAYED, State.RETRYING, State.PENDING)
_ASKED = ("userId", "hotelId", "checkIn", "checkOut", "guests", "roomType", "simulate")


def links(booking_id: str) -> Links:
    path = f"/api/bookings/{booking_id}"
    return {
        "self": path,
        "status": f"{path}/status",
        "events": f"{path}/events",
        "confirmation": f"{path}/confirmation.pdf",
    }


def whole(number: float) -> int | float:
    """3 rather than 3.0, as it was most likely written."""
    return int(number) if number == int(number) else number


def queues(booking_id: str, sent: dict[Backend, Sent]) -> dict[str, AcceptedLeg]:
    """Where a new booking is on each backend it was sent to. Plain strings as names: orjson takes no other."""
    return {backend.value: _queue(backend, booking_id, answer) for backend, answer in sent.items()}


def _queue(backend: Backend, booking_id: str, sent: Sent) -> AcceptedLeg:
    status = sent.state if sent.state in (State.PENDING, State.DELAYED) else State.QUEUED
    queue: AcceptedLeg = {"status": status}
    queue["jobId" if backend is Backend.RQ else "messageId"] = booking_id
    if sent.receipt:
        queue["receipt"] = sent.receipt
    return queue


def status(record: Record) -> BookingStatus:
    return {
        "bookingId": record.id,
        "state": record.booking_state,
        "status": {backend.value: _leg(leg) for backend, leg in record.legs.items()},
        "effects": _effects(record),
        "compensation": _compensation(record),
    }


def booking(record: Record) -> BookingAnswer:
    """The whole of it."""
    told = status(record)
    result = _result(record, told["state"])
    return {
        **told,
        **cast("Asked", {name: record.data[name] for name in _ASKED if name in record.data}),
        "createdAt": iso(record.created),
        "priority": record.options.get("priority", "normal"),
        "delaySeconds": whole(record.options.get("delay", 0) / 1000),
        "result": result,
        "links": links(record.id),
    }


def _leg(leg: Leg) -> LegAnswer:
    return {
        "state": leg.state,
        "progress": leg.progress,
        "attempts": leg.attempts,
        "step": leg.step or None,
        "worker": leg.worker or None,
        "timestamps": {"enqueued": iso(leg.enqueued), "started": iso(leg.started), "finished": iso(leg.finished)},
        "due": iso(leg.due) if leg.due and leg.state in _WAITING and not leg.limited_by else None,
        "limitedBy": leg.limited_by or None,
        "error": leg.error,
        "receipt": leg.receipt,
        "result": leg.result,
        "generation": leg.generation,
    }


def _effects(record: Record) -> dict[str, EffectAnswer]:
    """Which leg did each step, and when."""
    done = ((step, record.effects.get(step)) for step in STEP_NAMES)
    return {
        step: {"by": effect.backend, "at": iso(effect.at)} for step, effect in done if effect and effect.state == "done"
    }


def _result(record: Record, state: BookingState) -> BookingResult | None:
    if state is not BookingState.CONFIRMED:
        return None
    sold = record.effects["inventory"]
    return {
        "bookingId": record.id,
        "status": "confirmed",
        "confirmedAt": iso((sold.result or {}).get("confirmedAt", sold.at)),
        "confirmationNumber": confirmation_number(record.id),
        "workerId": _worker_of(record, sold.backend),
    }


def _worker_of(record: Record, backend: str) -> str | None:
    return next((leg.worker or None for leg in record.legs.values() if leg.backend == backend), None)


def _compensation(record: Record) -> Compensation | None:
    made = record.effects.get("compensation")
    return cast("Compensation", {"at": iso(made.at), **(made.result or {})}) if made else None
