"""The one place that reads this machine's clock. What must agree between machines is timed by Redis instead."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import overload


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


@overload
def iso(ms: int | float) -> str: ...
@overload
def iso(ms: None) -> None: ...
@overload
def iso(ms: int | float | None) -> str | None: ...
def iso(ms: int | float | None) -> str | None:
    """`2026-01-31T12:00:00.123Z` of milliseconds since 1970."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
