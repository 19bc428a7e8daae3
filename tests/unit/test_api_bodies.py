from __future__ import annotations

from typing import Any

import orjson
import pytest
from fastapi.exceptions import RequestValidationError

from api_service.bodies import read
from api_service.schemas import DelayedBooking, NewBooking
from booking_queue.domain.job import Backend, Priority

BOOKING = {"userId": "ada", "hotelId": "grand", "checkIn": "2027-01-01", "checkOut": "2027-01-03"}


def bad_fields(body: object, *, simulation: bool = True) -> set[str]:
    with pytest.raises(RequestValidationError) as caught:
        read(NewBooking, orjson.dumps(body), simulation=simulation)
    return {".".join(str(part) for part in error["loc"][1:]) for error in caught.value.errors()}


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"checkOut": "2027-01-01"}, {"checkOut"}),
        ({"checkIn": "2027-02-30", "guests": 11}, {"checkIn", "guests"}),
        ({"guests": 0, "checkOut": "2026-12-31"}, {"guests", "checkOut"}),
        ({"guests": "2"}, {"guests"}),
        ({"guests": 1.5}, {"guests"}),
        ({"checkIn": 1798761600}, {"checkIn"}),
        ({"checkIn": "1798761600"}, {"checkIn"}),
        ({"roomType": "cupboard", "priority": "now"}, {"roomType", "priority"}),
        ({"priority": 7}, {"priority"}),
        ({"backends": []}, {"backends"}),
        ({"backends": ["rq", "rq"]}, {"backends"}),
        ({"backends": ["sqs"]}, {"backends.0"}),
        ({"backends": None}, {"backends"}),
        ({"delaySeconds": -1}, {"delaySeconds"}),
        ({"delaySeconds": "1"}, {"delaySeconds"}),
        ({"delaySeconds": 31_536_001}, {"delaySeconds"}),
        ({"simulate": {"failAt": "lunch"}}, {"simulate.failAt"}),
        ({"colour": "red"}, {"colour"}),
        ({"userId": "x" * 101}, {"userId"}),
    ],
)
def test_every_bad_field_is_named(changes: dict[str, Any], fields: set[str]) -> None:
    assert bad_fields({**BOOKING, **changes}) == fields


def test_the_dates_are_looked_at_together_also_when_other_fields_are_bad() -> None:
    assert bad_fields({"guests": 0, "checkIn": "2027-01-01", "checkOut": "2027-01-01"}) == {
        "userId",
        "hotelId",
        "guests",
        "checkOut",
    }
    assert bad_fields({**BOOKING, "guests": 0, "checkOut": "2030-01-01"}) == {"guests", "checkOut"}


def test_simulate_is_refused_beside_other_bad_fields_and_alone() -> None:
    assert bad_fields({**BOOKING, "simulate": {}}, simulation=False) == {"simulate"}
    assert bad_fields({**BOOKING, "simulate": {}, "guests": 0}, simulation=False) == {"simulate", "guests"}
    assert read(NewBooking, orjson.dumps({**BOOKING, "simulate": {}}), simulation=True).simulate


def test_nothing_at_all_misses_every_required_field() -> None:
    with pytest.raises(RequestValidationError) as caught:
        read(NewBooking, b"", simulation=True)
    assert [error["loc"][1] for error in caught.value.errors()] == ["userId", "hotelId", "checkIn", "checkOut"]


def test_what_a_booking_means_without_saying_so() -> None:
    booking = read(NewBooking, orjson.dumps(BOOKING), simulation=True)
    assert booking.backends == list(Backend)
    assert (booking.options.priority, booking.options.delay) == (Priority.NORMAL, 0)
    assert booking.payload() == {**BOOKING, "guests": 1, "roomType": "standard"}
    delayed = read(DelayedBooking, orjson.dumps(BOOKING), simulation=True)
    assert (delayed.backends, delayed.options.delay) == ([Backend.RQ], 10_000)


@pytest.mark.parametrize(
    ("seconds", "ms"), [(0, 0), (1, 1000), (0.0001, 1), (2.0004, 2001), (31_536_000, 31_536_000_000)]
)
def test_a_delay_is_never_rounded_down(seconds: float, ms: int) -> None:
    booking = read(NewBooking, orjson.dumps({**BOOKING, "delaySeconds": seconds}), simulation=True)
    assert booking.options.delay == ms


@pytest.mark.parametrize("number", [float("inf"), float("nan"), True, None, [], "10"])
def test_a_delay_is_a_number(number: Any) -> None:
    assert bad_fields({**BOOKING, "delaySeconds": number}) == {"delaySeconds"}
