"""W3C trace context: one id that follows a request through services, brokers, logs and problem documents."""

from __future__ import annotations

import random
import re
from contextvars import ContextVar

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

current: ContextVar[str] = ContextVar("traceparent", default="")


def new() -> str:
    return f"00-{random.getrandbits(128) | 1:032x}-{random.getrandbits(64) | 1:016x}-01"


def child(parent: str) -> str:
    """A new span of the trace that `parent` names; a new trace when it names none."""
    found = _TRACEPARENT.fullmatch(parent)
    if not found or found[1] == "ff" or (found[1] == "00" and found[5]):
        return new()
    if found[2] == "0" * 32 or found[3] == "0" * 16:
        return new()
    return f"00-{found[2]}-{random.getrandbits(64) | 1:016x}-{found[4]}"


def trace_id(traceparent: str) -> str:
    return traceparent[3:35]
