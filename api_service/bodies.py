"""From a request's bytes to its model in one pass; from a bad one to a problem that names every bad field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from api_service.schemas import NewBooking
from booking_queue.domain.access import NO_TENANT_SIMULATES
from booking_queue.domain.booking import Booking
from booking_queue.web.validation import code_of, required_of

Model = TypeVar("Model", bound=NewBooking)
Error = dict[str, Any]

_NO_SIMULATION = "is refused: this installation runs with SIMULATION=off"
_ANY = {"userId": "any", "hotelId": "any"}


def read(model: type[Model], raw: bytes, *, simulation: bool, tenant: str = "") -> Model:
    """Raises RequestValidationError."""
    why = NO_TENANT_SIMULATES if simulation and tenant else "" if simulation else _NO_SIMULATION
    try:
        booking = model.model_validate_json(raw or b"{}")
    except ValidationError as error:
        raise _refusal(raw, error, required_of(model), why) from None
    if booking.simulate and why:
        raise RequestValidationError([_error("simulate", why, "refused")], body=orjson.loads(raw))
    return booking


def _refusal(raw: bytes, error: ValidationError, required: Sequence[str], why: str) -> RequestValidationError:
    """`why`: nobody may simulate; "" where one may."""
    body = orjson.loads(raw or b"{}")
    at = ("body", "checkOut") if isinstance(body, dict) else ("body",)  # of what is wrong with the whole of it
    errors: list[Error] = [
        {
            **each,
            "loc": ("body", *each["loc"]) if each["loc"] else at,
            "type": code_of(each, ".".join(map(str, each["loc"])), required),
        }
        for each in error.errors(include_url=False, include_context=False)
    ]
    if isinstance(body, dict):
        errors += _stay_errors(body, errors)
        if body.get("simulate") is not None and why:
            errors.append(_error("simulate", why, "refused"))
    return RequestValidationError(errors, body=body)


def _stay_errors(body: dict[str, Any], errors: list[Error]) -> list[Error]:
    """What is wrong with the dates together, which the model looks at only when every field is right by itself."""
    named = {each["loc"][1] for each in errors if len(each["loc"]) > 1}
    dates = {name: body[name] for name in ("checkIn", "checkOut") if name in body}
    if named.isdisjoint(dates) and len(dates) == 2 and named:
        try:
            Booking.model_validate({**_ANY, **dates})
        except ValidationError as error:
            return [_error("checkOut", each["msg"], each["type"], dates["checkOut"]) for each in error.errors()]
    return []


def _error(field: str, message: str, code: str, value: Any = True) -> Error:
    return {"loc": ("body", field), "msg": message, "type": code, "input": value}
