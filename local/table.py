"""The demo's table: per backend how many bookings stand where, and how long they waited and ran."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil

BACKENDS = ("rq", "redisStreams", "kafka")
ENDED = {"completed", "dead", "cancelled"}
RUNNING = {"active", "retrying", "cancelling"}
COLUMNS = ("backend", "sent", "waiting", "running", "completed", "dead", "wait p50", "p95", "run p50", "p95")
WIDTHS = (14, 6, 9, 9, 11, 6, 11, 9, 10, 9)


@dataclass
class Leg:
    """One booking on one backend, as the gateway last told of it."""

    backend: str
    state: str = "pending"
    worker: str = ""
    wait: float | None = None
    run: float | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def update(self, told: dict[str, object]) -> None:
        self.state = str(told.get("state") or self.state)
        self.worker = str(told.get("worker") or self.worker)
        stamps = told.get("timestamps")
        if isinstance(stamps, dict):
            moments = [moment(stamps.get(name)) for name in ("enqueued", "started", "finished")]
            self.wait, self.run = between(moments[0], moments[1]), between(moments[1], moments[2])


def moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) and text else None


def between(start: datetime | None, end: datetime | None) -> float | None:
    return max(0.0, (end - start).total_seconds()) if start and end else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * share) - 1)]


def told(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def rows(legs: Sequence[Leg]) -> list[list[str]]:
    return [_row(backend, [leg for leg in legs if leg.backend == backend]) for backend in BACKENDS]


def _row(backend: str, legs: list[Leg]) -> list[str]:
    states = [leg.state for leg in legs]
    counts = [
        len(states),
        sum(state not in ENDED | RUNNING for state in states),
        sum(state in RUNNING for state in states),
        states.count("completed"),
        states.count("dead") + states.count("cancelled"),
    ]
    waits = [leg.wait for leg in legs if leg.wait is not None]
    runs = [leg.run for leg in legs if leg.run is not None]
    times = [percentile(values, share) for values in (waits, runs) for share in (0.5, 0.95)]
    return [backend, *map(str, counts), *map(told, times)]


def lines(legs: Sequence[Leg]) -> list[str]:
    return [_line(COLUMNS), *(_line(row) for row in rows(legs))]


def _line(cells: Sequence[str]) -> str:
    first, *rest = cells
    return first.ljust(WIDTHS[0]) + "".join(cell.rjust(width) for cell, width in zip(rest, WIDTHS[1:], strict=True))


@dataclass
class Screen:
    """Draws the table over itself on a terminal; elsewhere once, at the end."""

    live: bool = field(default_factory=sys.stdout.isatty)
    drawn: int = 0

    def draw(self, text: Sequence[str], last: bool = False) -> None:
        if not self.live and not last:
            return
        if self.drawn:
            sys.stdout.write(f"\x1b[{self.drawn}A")
        clear = "\x1b[2K" if self.live else ""
        sys.stdout.write("".join(f"{clear}{line}\n" for line in text))
        sys.stdout.flush()
        self.drawn = len(text) if self.live else 0
