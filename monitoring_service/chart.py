"""What was seen, as columns over time: `times` and a list of values a series; null where it is not known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from booking_queue.domain.job import Backend
from booking_queue.metrics import RUN_BOUNDS, WAIT_BOUNDS
from monitoring_service.answers import HistoryAnswer
from monitoring_service.tiers import Sums, Tier, Tiers, adds_up
from monitoring_service.totals import Histogram

RATES = {"accepted": "accepted", "completed": "completed", "failed": "dead", "retried": "retried"}
BOUNDS = {"wait": (*WAIT_BOUNDS, float("inf")), "run": (*RUN_BOUNDS, float("inf"))}
PERCENTILES = {"P50": 0.5, "P95": 0.95, "P99": 0.99}
GAP = 3  # steps without a sample, after which a hole is shown

Values = dict[str, float | None]


def bucket(backend: Backend, what: str, place: int) -> str:
    return f"+{backend.value}.{what}.{place}"


BUCKETS = {
    (backend, what): [bucket(backend, what, place) for place in range(len(bounds))]
    for backend in Backend
    for what, bounds in BOUNDS.items()
}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples that make one point; an empty one makes a hole."""

    at_ms: int
    tier: Tier
    sums: Sums
    first: int
    end: int


def chart(tiers: Tiers, since_ms: int, step: float, most: int) -> HistoryAnswer:
    """From `since_ms` on, in steps of at least `step` seconds: longer ones where more than `most` points would come
    of it, or where only ten seconds were kept."""
    fine, coarse = tiers.fine, tiers.coarse
    newest = fine.times[-1] if fine.times else coarse.times[-1] if coarse.times else since_ms
    oldest = min((tier.times[tier.since(0)] for tier in (fine, coarse) if tier.times), default=newest)
    since_ms = max(since_ms, oldest)
    old = bool(coarse.times) and (not fine.times or fine.times[fine.since(0)] > since_ms + coarse.every * 1000)
    step = max(step, coarse.every if old else fine.every, (newest - since_ms) / 1000 / most)
    step_ms = int(-(-step // fine.every) * fine.every * 1000) if step > fine.every else int(fine.every * 1000)
    stretches = list(_stretches(tiers, since_ms, step_ms, old))
    points = [_point(stretch) for stretch in stretches]
    names = list(dict.fromkeys(name for point in points for name in point))
    return {
        "from": since_ms,
        "everySeconds": step_ms / 1000,
        "times": [stretch.at_ms for stretch in stretches],
        "series": {name: [point.get(name) for point in points] for name in names},
    }


def _stretches(tiers: Tiers, since_ms: int, step_ms: int, old: bool) -> Iterator[Stretch]:
    if not old:
        yield from _of(tiers.fine, since_ms, None, step_ms)
        return
    fine = tiers.fine
    cut = fine.times[fine.since(0)] if fine.times else None
    cut = -(-cut // step_ms) * step_ms if cut is not None else None  # a point is of one tier alone
    yield from _of(tiers.coarse, since_ms, cut, step_ms)
    if cut is not None:
        yield from _of(fine, cut, None, step_ms)


def _of(tier: Tier, since_ms: int, until_ms: int | None, step_ms: int) -> Iterator[Stretch]:
    """Each sample by itself where the step is the tier's own, else those of each `step_ms`."""
    first = tier.since(since_ms)
    end = len(tier.times) if until_ms is None else tier.since(until_ms)
    alone = step_ms <= tier.every * 1000
    sums = Sums(tier, first)
    before: int | None = None
    while first < end:
        at = tier.times[first] if alone else tier.times[first] // step_ms * step_ms
        last = first + 1 if alone else min(tier.since(at + step_ms), end)
        if before is not None and at - before > GAP * step_ms:
            yield Stretch(before + step_ms, tier, sums, first, first)
        yield Stretch(at, tier, sums, first, last)
        before, first = at, last


def _point(stretch: Stretch) -> Values:
    if stretch.first == stretch.end:
        return {}
    tier, sums, first, end = stretch.tier, stretch.sums, stretch.first, stretch.end
    point: Values = {name: tier.last(name, first, end) for name in tier.columns if not adds_up(name)}
    counted = sums.total("+counted", first, end)
    for backend in Backend:
        for told, name in RATES.items():
            added = sums.total(f"+{backend.value}.{name}", first, end)
            point[f"{backend.value}.{told}PerSecond"] = round(added / counted, 3) if counted else None
        for what in BOUNDS:
            point |= _percentiles(backend, what, sums, first, end)
    return point | _in_time(stretch)


def _percentiles(backend: Backend, what: str, sums: Sums, first: int, end: int) -> Values:
    """Of all that was observed in the stretch: percentiles of the sum, never a mean of percentiles."""
    bounds = BOUNDS[what]
    names = BUCKETS[backend, what]
    added = [sums.total(name, first, end) if name in sums else 0.0 for name in names]
    seen = Histogram(bounds, tuple(round(count) for count in accumulate(added))) if any(added) else Histogram()
    found: Values = {}
    for name, share in PERCENTILES.items():
        value = seen.quantile(share)
        found[f"{backend.value}.{what}{name}Ms"] = None if value is None else round(value * 1000, 2)
    return found


def _in_time(stretch: Stretch) -> Values:
    """`sla.<type>.share`: of the jobs that finished in the stretch, those within SLA_SECONDS of acceptance or
    of the time that they were put off to."""
    found: Values = {}
    sums, first, end = stretch.sums, stretch.first, stretch.end
    for name in stretch.tier.columns:
        if name.startswith("+sla.") and name.endswith(".total"):
            kind = name.removeprefix("+sla.").removesuffix(".total")
            total = sums.total(name, first, end)
            in_time = sums.total(f"+sla.{kind}.inTime", first, end)
            found[f"sla.{kind}.share"] = round(in_time / total, 4) if total else None
    return found
