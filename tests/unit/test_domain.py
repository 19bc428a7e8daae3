from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from booking_queue.backends.envelope import Envelope
from booking_queue.domain.booking import STEPS, Booking, confirmation_number
from booking_queue.domain.errors import (
    CUT,
    REASON_BYTES,
    InvalidData,
    PermanentError,
    RetryableError,
    UnreadableMessage,
)
from booking_queue.domain.job import Options, Priority, State
from booking_queue.domain.retry import Backoff, Bury, Retry, RetryPolicy, describe

GOOD = {"userId": "u", "hotelId": "h", "checkIn": "2026-01-01", "checkOut": "2026-01-03"}


def test_progress_after_the_steps() -> None:
    assert [step.progress for step in STEPS] == [10, 30, 50, 80, 90]
    assert [step.seconds for step in STEPS] == [2, 3, 5, 1, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"guests": 0},
        {"guests": 11},
        {"guests": "2"},
        {"guests": True},
        {"roomType": "cave"},
        {"checkOut": "2026-01-01"},
        {"checkOut": "2025-12-31"},
        {"checkOut": "2027-06-01"},
        {"checkIn": "soon"},
        {"checkIn": "2026-02-30"},
        {"userId": ""},
        {"userId": "a\x00b"},
        {"userId": "x" * 101},
        {"surprise": 1},
    ],
)
def test_a_bad_booking_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Booking.model_validate(GOOD | change)


def test_a_past_booking_is_fine() -> None:
    assert Booking.model_validate(GOOD | {"checkIn": "1999-12-31", "checkOut": "2000-01-02"}).nights == 2


def test_confirmation_numbers_differ_and_repeat() -> None:
    first, second = "0d1c2f0e-0000-4000-8000-000000000001", "0d1c2f0e-0000-4000-8000-000000000002"
    assert confirmation_number(first) != confirmation_number(second)
    assert confirmation_number(first) == confirmation_number(first)
    assert re.fullmatch(r"CONF-[A-Z2-7]{16}", confirmation_number(first))


def test_priorities_by_name_and_by_the_old_numbers() -> None:
    assert [Priority.parse(value) for value in ("low", "normal", "high", "critical")] == [3, 2, 1, 0]
    assert [Priority.parse(value) for value in (5, 10, 15, 20)] == [3, 2, 1, 0]
    for wrong in ("urgent", 1, True, None, 7.5):
        with pytest.raises(ValueError, match="must be"):
            Priority.parse(wrong)


def test_options_survive_the_ledger() -> None:
    options = Options.model_validate({"attempts": 2, "priority": "high", "backoff": {"type": "fixed", "delay": 5}})
    assert Options.model_validate_json(options.model_dump_json(by_alias=True, exclude_defaults=True)) == options


def test_retry_decisions() -> None:
    policy = RetryPolicy(3, Backoff(delay=2000))
    assert policy.decide(RetryableError("x"), 1, lambda: 0) == Retry(2000)
    assert policy.decide(RetryableError("x"), 2, lambda: 0.999) == Retry(4499)
    assert isinstance(policy.decide(RetryableError("x"), 3), Bury)
    assert policy.decide(PermanentError("no"), 1) == Bury("no")
    assert policy.decide(InvalidData({"guests": "too many"}), 1) == Bury("Invalid data: guests: too many")
    assert RetryPolicy(5, Backoff(delay=60_000)).decide(ValueError(), 4, lambda: 0) == Retry(30_000)
    assert RetryPolicy(5, Backoff(type="fixed", delay=50)).decide(ValueError(), 4) == Retry(50)


@pytest.mark.parametrize(
    "error",
    [
        InvalidData({f"field{n}": "Extra inputs are not permitted" for n in range(5000)}),
        PermanentError("ü" * 60_000),
        ValueError("\ud800" * 60_000),
    ],
)
def test_no_reason_is_longer_than_its_bound_whatever_a_client_sent(error: Exception) -> None:
    decision = RetryPolicy(1).decide(error, 1)
    assert isinstance(decision, Bury)
    for reason in (decision.reason, describe(error)):
        assert reason.endswith(CUT)
        assert len(reason.encode(errors="replace")) <= REASON_BYTES + len(CUT.encode())
    assert str(UnreadableMessage("x" * 60_000)).endswith(CUT), "what is no job is buried for what its error says"


def test_a_reason_is_text_though_what_it_quotes_is_none() -> None:
    refused = PermanentError("550 d\udce9sactiv\udce9")  # as aiosmtplib decodes Latin-1
    assert (str(refused), describe(refused)) == ("550 d?sactiv?", "PermanentError: 550 d?sactiv?")
    assert RetryPolicy(1).decide(ValueError("\udce9"), 1) == Bury(
        "failed 1 of 1 attempts, the last with: ValueError: ?"
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x80\x04K\x01.",
        b"null",
        b"[]",
        b"{}",
        b'{"v":1}',
        b'{"v":2,"id":"a","type":"b"}',
        b'{"v":1,"id":1}',
        b'{"v":1,"id":"a","type":"b","generation":true}',
        b'{"v":1,"id":"a","type":"b","generation":-1}',
        b'{"v":1,"id":"a","type":"b","notBefore":99999999999999999}',
        b'{"v":1,"id":"a","type":"b","data":' + b'{"a":' * 40 + b"1" + b"}" * 41,
    ],
)
def test_unreadable_envelopes(raw: bytes) -> None:
    with pytest.raises(UnreadableMessage):
        Envelope.load(raw)


def test_an_envelope_comes_back_as_it_was() -> None:
    envelope = Envelope("id", "booking", {"a": [1, {"b": "ü"}]}, 3, 2, 17, "00-1-2-03")
    assert Envelope.load(envelope.dump()) == envelope


def test_every_state_that_lua_writes_is_a_state() -> None:
    lua = "".join(each.read_text() for each in Path("booking_queue/ledger").glob("*.lua"))
    written = set(re.findall(r"state = '(\w+)'", lua))
    assert written <= {state.value for state in State} | {"claimed", "done", "failed"}
