"""How long the work of a stopped worker lay: from the moment it was killed to the next start of each job it held."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from tests.faults.history import Event, Stopped

CANCELS = {"cancelling", "cancelled"}  # said of the booking, not of one of its legs
LETS_GO = {"completed", "dead", "retrying", "released", "crashed"} | CANCELS


def reruns(audits: Mapping[str, Sequence[Event]], stopped: Sequence[Stopped]) -> dict[str, list[float]]:
    """By backend, in seconds; infinite for a job that never started again and never ended."""
    found: dict[str, list[float]] = {}
    for events in audits.values():
        for backend in {event.backend for event in events if event.backend}:
            leg = [event for event in events if event.backend == backend or event.event in CANCELS]
            found.setdefault(backend, []).extend(_of_leg(leg, stopped))
    return found


def _of_leg(events: Sequence[Event], stopped: Sequence[Stopped]) -> Iterable[float]:
    for start, event in enumerate(events):
        if event.event != "started":
            continue
        after = next((one for one in events[start + 1 :] if one.event == "started" or one.event in LETS_GO), None)
        moments = [one.at for one in stopped if one.worker == event.worker and one.at >= event.at]
        if not moments or (after and after.at < moments[0]):
            continue
        if after is None:
            yield math.inf
        elif after.event == "started":
            yield (after.at - moments[0]) / 1000
        # Otherwise its last word was under way when it was stopped, and counted.


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank; 0 of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
