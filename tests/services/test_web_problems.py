from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
import redis.exceptions
from fastapi import APIRouter, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict

from booking_queue.domain.booking import Booking
from booking_queue.domain.errors import BackendUnavailable, InvalidData, LedgerUnavailable
from booking_queue.settings import Settings
from booking_queue.web import problems
from booking_queue.web.problems import FieldError
from booking_queue.web.service import create_app
from booking_queue.web.validation import on_invalid
from tests.services.live_app import Live, live

pytestmark = pytest.mark.asyncio(loop_scope="module")

ERRORS: dict[str, Exception] = {
    "http": HTTPException(404, "Job not found"),
    "problem": problems.conflict("already cancelled", code="terminal"),
    "data": InvalidData({"userId": "is missing"}),
    "ledger": LedgerUnavailable("redis://secret-host"),
    "stopped": LedgerUnavailable("Redis refuses: LOADING secret"),
    "broker": BackendUnavailable("Kafka at secret-host"),
    "refused": redis.exceptions.ConnectionError("redis://secret-host"),
    "slow": redis.exceptions.TimeoutError("redis://secret-host"),
    "loading": redis.exceptions.BusyLoadingError("loading"),
    "full": redis.exceptions.OutOfMemoryError("OOM"),
    "disk": redis.exceptions.ResponseError("MISCONF Redis is configured to save"),
    "bug": redis.exceptions.ResponseError("WRONGTYPE secret"),
    "unhandled": KeyError("secret-host"),
}


class NewJob(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: str
    data: dict[str, Any]


def _enqueue_members(fields: Sequence[FieldError]) -> dict[str, Any]:
    return {"statusCode": 400, "message": "Validation Error", "missingProperty": fields[0].field}


def app() -> FastAPI:
    router = APIRouter()

    @router.post("/bookings")
    async def create_booking(booking: Booking) -> dict[str, Any]:
        return booking.payload()

    @router.get("/bookings")
    async def list_bookings() -> list[Any]:
        return []

    @router.post("/jobs")
    @on_invalid("Missing type or data")
    async def create_job(job: NewJob) -> dict[str, Any]:
        return {"data": job.data}

    @router.post("/enqueue")
    @on_invalid(_enqueue_members)
    async def enqueue(job: NewJob) -> dict[str, Any]:
        return {}

    @router.get("/list")
    async def listing(limit: int = Query(10, ge=1, le=100)) -> dict[str, Any]:
        return {"limit": limit}

    @router.get("/fail/{kind}")
    async def fail(kind: str) -> None:
        raise ERRORS[kind]

    return create_app("test", Settings(), default_port=0, routers=[router])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Live]:
    async with live(app()) as running:
        yield running


async def problem(server: Live, method: str, path: str, status: int, **request: Any) -> dict[str, Any]:
    answer = await server.http.request(method, path, **request)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["type"] == f"urn:booking-queue:problem:{body['code']}"
    assert body["title"] and body["detail"] and body["error"]
    assert body["traceId"] == answer.headers["x-trace-id"]
    return body


async def test_every_missing_field_is_named(server: Live) -> None:
    body = await problem(server, "POST", "/bookings", 400, json={"userId": "", "hotelId": None})
    assert body["error"] == "Missing required fields: userId, hotelId, checkIn, checkOut"
    assert [field["field"] for field in body["errors"]] == ["userId", "hotelId", "checkIn", "checkOut"]


@pytest.mark.parametrize("request_", [{}, {"content": b"", "headers": {"content-type": "application/json"}}])
async def test_no_body_at_all_names_them_too(server: Live, request_: dict[str, Any]) -> None:
    body = await problem(server, "POST", "/bookings", 400, **request_)
    assert body["error"] == "Missing required fields: userId, hotelId, checkIn, checkOut"


async def test_every_bad_field_is_named(server: Live) -> None:
    wrong = {"checkIn": "yesterday", "checkOut": "2026-02-30", "guests": 99, "roomType": "tent", "x": 1}
    body = await problem(server, "POST", "/bookings", 400, json={"userId": "u", "hotelId": "h"} | wrong)
    assert {field["field"] for field in body["errors"]} == set(wrong)
    assert all(field["message"] and field["code"] for field in body["errors"])


async def test_what_is_no_object_is_told_what_it_must_have(server: Live) -> None:
    body = await problem(server, "POST", "/jobs", 400, json=[{"type": "noop", "data": {}}])
    assert body["detail"] == "body: must be an object with type, data"
    body = await problem(server, "POST", "/jobs", 400, json={"type": "noop", "data": 5})
    assert body["detail"] == "data: must be an object"


async def test_an_unknown_field_that_is_blank_is_not_called_missing(server: Live) -> None:
    stay = {"userId": "u", "hotelId": "h", "checkIn": "2026-02-02", "checkOut": "2026-02-03"}
    body = await problem(server, "POST", "/bookings", 400, json=stay | {"x": "", "y": None})
    assert [field["code"] for field in body["errors"]] == ["extra_forbidden"] * 2
    assert body["error"].startswith("Invalid request: x: ")


async def test_an_optional_field_that_is_blank_is_not_called_missing(server: Live) -> None:
    stay = {"userId": "u", "hotelId": "h", "checkIn": "2026-02-02", "checkOut": "2026-02-03"}
    body = await problem(server, "POST", "/bookings", 400, json=stay | {"roomType": ""})
    assert body["errors"][0]["field"] == "roomType" and body["errors"][0]["code"] != "missing"
    assert body["error"].startswith("Invalid request: roomType: ")


async def test_a_check_over_two_fields_names_the_one_it_is_about(server: Live) -> None:
    stay = {"userId": "u", "hotelId": "h", "checkIn": "2026-02-02", "checkOut": "2026-02-02"}
    body = await problem(server, "POST", "/bookings", 400, json=stay)
    assert body["errors"] == [{"field": "checkOut", "message": "checkOut must be after checkIn", "code": "value_error"}]


async def test_a_route_keeps_its_older_words(server: Live) -> None:
    assert (await problem(server, "POST", "/jobs", 400, json={"type": "x"}))["error"] == "Missing type or data"
    wrong = await problem(server, "POST", "/jobs", 400, json={"type": "x", "data": [1]})
    assert wrong["error"].startswith("Invalid request: data: ")
    enqueue = await problem(server, "POST", "/enqueue", 400, json={"type": "x"})
    assert (enqueue["statusCode"], enqueue["message"], enqueue["missingProperty"]) == (
        400,
        "Validation Error",
        "data",
    )


async def test_query_and_routing_errors(server: Live) -> None:
    assert (await problem(server, "GET", "/list?limit=0", 400))["errors"][0]["field"] == "limit"
    assert (await problem(server, "GET", "/nowhere", 404))["code"] == "not_found"
    assert (await problem(server, "GET", "/list/", 404))["code"] == "not_found"
    answer = await server.http.delete("/list")
    assert answer.status_code == 405 and answer.headers["allow"] == "GET"
    assert (await problem(server, "DELETE", "/list", 405))["code"] == "method_not_allowed"
    assert (await server.http.delete("/bookings")).headers["allow"] == "GET, POST", "by two routes"


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("http", 404, "not_found"),
        ("problem", 409, "terminal"),
        ("data", 400, "invalid_request"),
        ("ledger", 503, "unavailable"),
        ("refused", 503, "unavailable"),
        ("slow", 503, "unavailable"),
        ("loading", 503, "unavailable"),
        ("full", 503, "unavailable"),
        ("disk", 503, "unavailable"),
        ("bug", 500, "internal_error"),
        ("unhandled", 500, "internal_error"),
    ],
)
async def test_errors_of_ours(server: Live, kind: str, status: int, code: str) -> None:
    body = await problem(server, "GET", f"/fail/{kind}", status)
    assert body["code"] == code
    assert "secret" not in str(body)
    if status == 503:
        assert (await server.http.get(f"/fail/{kind}")).headers["retry-after"] == "2"


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("ledger", "does not answer. Try again"),
        ("slow", "does not answer. Try again"),
        ("loading", "still loads"),
        ("stopped", "still loads"),
        ("full", "is full"),
        ("disk", "cannot write its disk"),
        ("broker", "broker of this service"),
    ],
)
async def test_an_outage_names_who_is_away_and_what_to_do(server: Live, kind: str, says: str) -> None:
    body = await problem(server, "GET", f"/fail/{kind}", 503)
    assert says in body["detail"] and (kind == "broker" or "Redis" in body["detail"])
    assert body["detail"].startswith(body["error"]) and len(body["error"]) < 80, "what others repeat is one sentence"


async def test_legacy_error_of_an_http_exception_is_its_detail(server: Live) -> None:
    assert (await problem(server, "GET", "/fail/http", 404))["error"] == "Job not found"


async def test_a_callers_trace_goes_on(server: Live) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = await server.http.get("/nowhere", headers={"traceparent": parent})
    assert answer.json()["traceId"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = await server.http.get("/nowhere", headers={b"traceparent": b"00-" + b"0" * 32 + b"-x\xff-01"})
    assert len(answer.json()["traceId"]) == 32 and answer.json()["traceId"] != "0" * 32


async def test_security_headers_on_every_answer(server: Live) -> None:
    for path in ("/livez", "/nowhere", "/fail/unhandled"):
        headers = (await server.http.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "frame-ancestors 'none'"


async def test_openapi_shows_the_problems(server: Live) -> None:
    document = (await server.http.get("/openapi.json")).json()
    operation = document["paths"]["/bookings"]["post"]
    assert operation["operationId"] == "createBooking"
    assert "422" not in operation["responses"]
    assert "application/problem+json" in operation["responses"]["4XX"]["content"]
    assert "traceId" in document["components"]["schemas"]["Problem"]["properties"]
