"""RFC 9457 problem documents for every error, with the older systems' `error` string beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from starlette.responses import Response
from starlette.types import Scope

from booking_queue import trace
from booking_queue.web.replies import dumps

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
OVERLOADED_SECONDS = 5

CODES = {
    400: "invalid_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "conflict",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "unprocessable",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}


@dataclass(frozen=True)
class FieldError:
    field: str
    message: str
    code: str


class Problem(Exception):
    """Raise it from anywhere below a route. `error` is the older string (default: the detail);
    `extra` members are added to the document."""

    def __init__(  # noqa: PLR0913 - all but two by name
        self,
        status: int,
        detail: str,
        *,
        code: str = "",
        error: str = "",
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ):
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code or CODES.get(status, f"http_{status}")
        self.error = error or detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def document(self, trace_id: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "type": f"urn:booking-queue:problem:{self.code}",
            "code": self.code,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "error": self.error,
            "traceId": trace_id,
        }
        if self.errors:
            body["errors"] = [asdict(error) for error in self.errors]
        return body | self.extra


def not_found(detail: str) -> Problem:
    return Problem(404, detail)


def conflict(detail: str, code: str = "") -> Problem:
    return Problem(409, detail, code=code)


def unavailable(detail: str, retry_after: int = RETRY_AFTER_SECONDS, *, error: str = "") -> Problem:
    return Problem(503, detail, error=error, headers={"Retry-After": str(retry_after)})


def too_many(detail: str, retry_after: int = RETRY_AFTER_SECONDS) -> Problem:
    return Problem(429, detail, headers={"Retry-After": str(retry_after)})


def too_many_outstanding(detail: str, most: int) -> Problem:
    """https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/10/"""
    wait = OVERLOADED_SECONDS
    policy = {"RateLimit-Policy": f'"outstanding";q={most}', "RateLimit": f'"outstanding";r=0;t={wait}'}
    return Problem(429, f"{detail}: try again later", headers={"Retry-After": str(wait), **policy})


def response(problem: Problem, scope: Scope) -> Response:
    body = dumps(problem.document(trace.trace_id(scope.get("traceparent", ""))))
    return Response(body, problem.status, problem.headers, MEDIA_TYPE)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "code", "title", "status", "detail", "error", "traceId"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "code": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "error": {"type": "string"},
        "traceId": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message", "code"],
                "properties": {
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                    "code": {"type": "string"},
                },
            },
        },
    },
}
