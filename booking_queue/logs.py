"""JSON lines on standard output. Fields that name people are redacted; everything a user wrote is escaped.

log = logs.get("worker")
log.event("job_started", jobId=job_id, jobType="booking", queueName="booking-queue")
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import re
import sys
import traceback
from functools import lru_cache
from typing import Any, TextIO

import orjson

from booking_queue import trace
from booking_queue.clock import iso

REDACTED = "[redacted]"
_MAX_TEXT = 2000
_MAIL = re.compile(r"[^\s@<>\"'(),:;]+@[^\s@<>\"'(),:;]+")
_PRIVATE = re.compile(
    r"(?i:mail|recipients?|phone(?:_?number)?|pass(?:word)?|token)$|(?:^|_)to$|To$"
    r"|(?i:(?:^|first_?|last_?|full_?|user_?|guest_?|customer_?)name)$"
    r"|(?i:secret|api_?key|authorization|cookie)"
)


class Log:
    """A logger whose lines are events with fields."""

    def __init__(self, name: str):
        self._logger = logging.getLogger(f"booking_queue.{name}")

    def event(self, event: str, /, **fields: Any) -> None:
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, /, *, exc: BaseException | None = None, **fields: Any) -> None:
        self._write(logging.WARNING, event, fields, exc)

    def error(self, event: str, /, *, exc: BaseException | None = None, **fields: Any) -> None:
        self._write(logging.ERROR, event, fields, exc)

    def _write(self, level: int, event: str, fields: dict[str, Any], exc: BaseException | None = None) -> None:
        if not self._logger.isEnabledFor(level):
            return
        # Not logger.log(): looking up the caller costs more than the rest of the line.
        exc_info = (type(exc), exc, exc.__traceback__) if exc is not None else None
        record = logging.LogRecord(self._logger.name, level, "", 0, event, None, exc_info)
        record.fields = fields
        self._logger.handle(record)


def get(name: str) -> Log:
    return Log(name)


class JsonLines(logging.Formatter):
    def __init__(self, service: str):
        super().__init__()
        self.service = service
        self.always: dict[str, str] = {}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": iso(record.created * 1000),
            "level": record.levelname.lower(),
            "service": self.service,
            "event": _clean("event", record.getMessage()),
            **self.always,
        }
        if traceparent := trace.current.get():
            line["traceId"] = trace.trace_id(traceparent)
        for name, value in getattr(record, "fields", {}).items():
            line[name] = _clean(name, value)
        if record.exc_info and record.exc_info[1] is not None:
            text = "".join(traceback.format_exception(*record.exc_info))
            line["exception"] = _MAIL.sub(REDACTED, text[-4 * _MAX_TEXT :])
        return _encode(line)


def _encode(line: dict[str, Any]) -> str:
    """ASCII only: no line ends, escapes or direction marks of a user's reach a terminal."""
    with contextlib.suppress(TypeError):  # integers beyond 64 bits, lone surrogates
        text = orjson.dumps(line, default=_text)
        if text.isascii():
            return text.decode()
    return json.dumps(line, default=_text)


def _clean(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if _private(name):
        return REDACTED
    if isinstance(value, str):
        value = value if len(value) <= _MAX_TEXT else value[:_MAX_TEXT] + "…"
        return _MAIL.sub(REDACTED, value) if "@" in value else value
    if isinstance(value, dict):
        return {str(key): _clean(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", item) for item in value]
    return _clean("", _text(value))


@lru_cache(maxsize=1000)
def _private(name: str) -> bool:
    return _PRIVATE.search(name) is not None


def _text(value: object) -> str:
    return str(value)


def configure(service: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Once, by the process's entry. Every library's logging comes out the same way."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonLines(service))
    # What no line shows need not be looked up for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("booking_queue").setLevel(level.upper())


def always(**fields: str) -> None:
    """What every line of this process says from now on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonLines):
            handler.formatter.always |= fields
