from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from booking_queue import logs, trace


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """What is written, with the process's logging put back afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("booking_queue")
    before = (root.handlers[:], root.level, ours.level)
    stream = io.StringIO()
    logs.configure("worker", "INFO", stream)
    yield stream
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in out.getvalue().splitlines()]


def test_an_event_is_one_json_line(out: io.StringIO) -> None:
    logs.get("worker").event("job_started", jobId="j1", jobType="booking", queueName="booking-queue", attempt=1)
    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "service": "worker",
        "event": "job_started",
        "jobId": "j1",
        "jobType": "booking",
        "queueName": "booking-queue",
        "attempt": 1,
    }


def test_a_worker_s_lines_say_whose_they_are_once_it_has_its_name(out: io.StringIO) -> None:
    log = logs.get("worker")
    log.event("waits_for_a_name")
    logs.always(workerId="vm-2")
    log.event("job_started", jobId="j1")
    before, after = lines(out)
    assert ("workerId" in before, after["workerId"], after["jobId"]) == (False, "vm-2", "j1")


@pytest.mark.parametrize("end", ["", "\ud800", "\u202e日本"])
def test_user_text_cannot_make_a_line_or_colour_a_terminal(out: io.StringIO, end: str) -> None:
    nasty = 'a"}\n{"event":"forged"}\r\x1b[31m\u2028\x00' + end
    logs.get("x").event("seen", text=nasty)
    assert out.getvalue().isascii() and out.getvalue().count("\n") == 1 and "\x1b" not in out.getvalue()
    assert out.getvalue().startswith("{") and '"forged"' not in out.getvalue().replace('\\"forged\\"', "")


@pytest.mark.parametrize(
    "field",
    [
        *("email", "to", "mailTo", "userName", "user_name", "name", "guestName", "lastName", "phoneNumber"),
        *("apiKey", "x_api_key", "password", "redisPassword", "authorization", "cookie", "accessToken"),
    ],
)
def test_fields_about_people_and_secrets_are_redacted(out: io.StringIO, field: str) -> None:
    logs.get("x").event("seen", **{field: "Ada"}, data={field: ["Ada"]})
    assert "Ada" not in out.getvalue() and logs.REDACTED in out.getvalue()


@pytest.mark.parametrize("field", ["queueName", "jobId", "hotelId", "topic", "stopped", "jobName", "photo", "tokens"])
def test_fields_about_the_system_are_not(out: io.StringIO, field: str) -> None:
    logs.get("x").event("seen", **{field: "value"})
    assert lines(out)[0][field] == "value"


def test_mail_addresses_go_from_texts_lists_and_exceptions(out: io.StringIO) -> None:
    try:
        raise ValueError("refused <ada@example.org>")
    except ValueError as error:
        logs.get("x").error("send_failed", exc=error, why="to ada@example.org, later", all=["ada@example.org"])
    (line,) = lines(out)
    assert "ada@" not in out.getvalue()
    assert line["why"] == "to [redacted], later" and line["level"] == "error"
    assert "ValueError: refused <[redacted]>" in line["exception"] and "Traceback" in line["exception"]


def test_anything_can_be_a_value_and_none_is_endless(out: io.StringIO) -> None:
    logs.get("x").event("seen", a=object(), b={1: {2}}, c="x" * 10_000, d=None, e=1.5, f=float("nan"))
    assert lines(out)[0]["f"] == "nan" and len(out.getvalue()) < 3000


def test_the_lines_of_libraries(out: io.StringIO) -> None:
    logging.getLogger("somelib").info("hidden")
    logging.getLogger("somelib").warning("shown to %s", "ada@example.org")
    assert [line["event"] for line in lines(out)] == ["shown to [redacted]"]


def test_the_trace_is_on_every_line(out: io.StringIO) -> None:
    token = trace.current.set("00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    logs.get("x").event("seen")
    trace.current.reset(token)
    assert lines(out)[0]["traceId"] == "a" * 32
