"""FastAPI's validation errors as one problem that names every bad field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.requests import Request

from booking_queue.domain.errors import InvalidData
from booking_queue.web.problems import FieldError, Problem

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Members = Callable[[Sequence[FieldError]], dict[str, Any]]

MISSING = "missing"
NO_OBJECT = {"model_attributes_type", "model_type", "dict_type"}
_PREFIXES = {"body", "query", "path", "header", "cookie"}
_MAX_ERRORS = 100


def on_invalid(members: str | Members) -> Callable[[Endpoint], Endpoint]:
    """What a route's invalid requests say beside the problem: the older `error` string of a missing field,
    or a function from the field errors to members of the document."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.__invalid__ = members  # type: ignore[attr-defined]
        return endpoint

    return mark


def problem_of(error: RequestValidationError, request: Request | None = None) -> Problem:
    """`request`: the one whose whole body it was."""
    required = _required(request)
    fields = [field for raw in error.errors() for field in _fields(raw, required, error.body)][:_MAX_ERRORS]
    endpoint = request.scope.get("endpoint") if request else None
    return from_fields(fields, getattr(endpoint, "__invalid__", ""))


def from_fields(fields: Sequence[FieldError], members: str | Members = "") -> Problem:
    missing = [field.field for field in fields if field.code == MISSING]
    detail = "; ".join(f"{field.field}: {field.message}" for field in fields)
    error = f"Missing required fields: {', '.join(missing)}" if missing else f"Invalid request: {detail}"
    if isinstance(members, str):
        return Problem(400, detail, error=members if members and missing else error, errors=fields)
    return Problem(400, detail, error=error, errors=fields, extra=members(fields))


def from_invalid_data(error: InvalidData) -> Problem:
    return from_fields([FieldError(name, why, "invalid") for name, why in error.fields.items()])


def _fields(raw: dict[str, Any], required: Sequence[str], body: Any) -> list[FieldError]:
    loc = [str(part) for part in raw["loc"]]
    if loc == ["body"] and raw["type"] == MISSING:
        return [FieldError(name, "Field required", MISSING) for name in required or ["body"]]
    name = ".".join(loc[1:] if len(loc) > 1 and loc[0] in _PREFIXES else loc).removesuffix(".[key]")
    message = raw["msg"].removeprefix("Value error, ")
    if raw["type"] in NO_OBJECT:
        message = "must be an object" + (f" with {', '.join(required)}" if name == "body" and required else "")
    if name == "body":  # a check over several fields starts its message with the one it is about
        word = message.split(" ", 1)[0]
        name = word if isinstance(body, dict) and word in body else name
    return [FieldError(name, message, code_of(raw, name, required))]


def code_of(raw: Mapping[str, Any], name: str, required: Sequence[str]) -> str:
    """pydantic's, but that a required field that is blank is missing."""
    blank = name in required and "input" in raw and raw["input"] in (None, "")
    return MISSING if blank else str(raw["type"])


def required_of(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items() if field.is_required()]


def _required(request: Request | None) -> list[str]:
    body_field = getattr(request.scope.get("route"), "body_field", None) if request else None
    model = body_field.field_info.annotation if body_field else None
    return required_of(model) if isinstance(model, type) and issubclass(model, BaseModel) else []
