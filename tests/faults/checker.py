"""From the evidence to a verdict. Pure: it opens nothing and asks nobody, so that it can be tested by itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.faults.history import End, Expected, History, Outcome
from tests.faults.reruns import LETS_GO, percentile, reruns

ENDED = {"completed", "dead", "cancelled"}
ENOUGH_FOR_A_P99 = 100  # of fewer it is the longest, which has a bound of its own


@dataclass(frozen=True)
class Limits:
    """The promised bounds, in seconds; None where a trial has nothing to say about one."""

    rerun_p99: float | None = 20.0
    rerun_max: float | None = 30.0
    quiet: float | None = 60.0
    answer: float | None = 10.0


@dataclass
class Lane:
    """What one backend is accused of, and its figures."""

    attempts: int = 0
    acked: int = 0
    refused: int = 0
    unknown: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    reruns: list[float] = field(default_factory=list)

    @property
    def rerun(self) -> tuple[float, float, float]:
        """p50, p99 and the longest."""
        return percentile(self.reruns, 0.5), percentile(self.reruns, 0.99), max(self.reruns, default=0.0)


@dataclass
class Verdict:
    """`wrong` names each check that failed, with what it found; empty when every promise was kept."""

    lanes: dict[str, Lane]
    wrong: dict[str, list[str]]
    quiet_after: float | None
    raw_charges: float  # of a million bookings that were charged
    raw_mails: float
    begun_again: list[str]  # a second start of the same attempt, whatever the reason

    def __str__(self) -> str:
        return "\n".join(f"{name}: {len(found)}, such as {found[0]}" for name, found in self.wrong.items()) or "clean"


def at_most(found: int, trials: int) -> str:
    """A share with its bound: nothing found in n trials means at most 3/n, at 95 %."""
    if found or not trials:
        return f"{found} of {trials}"
    return f"0 (<= {3 / trials:.1e})"


def judge(history: History, limits: Limits | None = None) -> Verdict:
    limits = limits or Limits()
    wrong: dict[str, list[str]] = defaultdict(list)
    lanes = _lanes(history)
    for backend, lane in lanes.items():
        wrong["lost"] += (f"{backend} {booking}" for booking in lane.lost)
        wrong["doubled"] += lane.doubled
        wrong["rerun"] += _slow_reruns(backend, lane, limits)
    wrong["unexpectedly dead"] += _unexpectedly_dead(history)
    wrong["not dead"] += _not_dead(history)
    wrong["unexpected"] += _unexpected(history)
    wrong["not charged"] += _money_missing(history)
    wrong["rooms"] += _rooms(history)
    wrong["published twice"] += [f"{key}: {copies} messages" for key, copies in history.copies.items() if copies > 1]
    wrong["stolen back"] += [key for key, owners in history.owners.items() if _returned(owners)]
    wrong["not cancelled"] += _not_cancelled(history)
    wrong["version"] += [key for key, found in history.versions.items() if list(found) != sorted(found)]
    wrong["hang"] += _hangs(history, limits)
    wrong["not quiet"] += _not_quiet(history, limits)
    wrong["ownerless key"] += history.quiet.ownerless
    charged = max(1, sum(1 for number in history.charges.values() if number))
    return Verdict(
        lanes,
        {name: found for name, found in wrong.items() if found},
        history.quiet.after,
        history.raw_charges * 1e6 / charged,
        history.raw_mails * 1e6 / charged,
        [job for job, events in history.audits.items() if _begun_again([event.event for event in events])],
    )


def _lanes(history: History) -> dict[str, Lane]:
    lanes: dict[str, Lane] = defaultdict(Lane)
    ends = {end.booking: end for end in history.ends}
    for attempt in history.attempts:
        lane = lanes[attempt.backend]
        lane.attempts += 1
        lane.acked += attempt.outcome is Outcome.ACKED
        lane.refused += attempt.outcome is Outcome.REFUSED
        lane.unknown += attempt.outcome in (Outcome.UNKNOWN, Outcome.CUT_OFF)
        end = ends.get(attempt.booking)
        if attempt.outcome is Outcome.ACKED and (end is None or end.state not in ENDED):
            lane.lost.append(f"{attempt.booking} ({end.state if end else 'no record'})")
    for end in history.ends:
        lanes[end.backend].doubled += _doubled(end, history)
    for backend, seconds in reruns(history.audits, history.stopped).items():
        lanes[backend].reruns += seconds
    return dict(lanes)


def _doubled(end: End, history: History) -> Iterable[str]:
    charges = history.charges.get(end.charge_key, 0)
    if charges > 1:
        yield f"{end.booking} was charged {charges} times"
    events = Counter(event.event for event in history.audits.get(end.booking, ()))
    for once in ("completed", "confirmed", "compensated"):
        if events[once] > 1:
            yield f"{end.booking} is {once} {events[once]} times"


def _begun_again(events: Sequence[str]) -> bool:
    """Two starts with nothing between them that ends or hands back the first."""
    told = [event for event in events if event == "started" or event in LETS_GO]
    return any(one == after == "started" for one, after in pairwise(told))


def _slow_reruns(backend: str, lane: Lane, limits: Limits) -> Iterable[str]:
    _, p99, longest = lane.rerun
    if limits.rerun_p99 is not None and p99 > limits.rerun_p99 and len(lane.reruns) >= ENOUGH_FOR_A_P99:
        yield f"{backend}: p99 of {len(lane.reruns)} is {p99:.1f} s, promised are {limits.rerun_p99:g}"
    if limits.rerun_max is not None and longest > limits.rerun_max:
        yield f"{backend}: the longest of {len(lane.reruns)} is {longest:.1f} s, promised are {limits.rerun_max:g}"


def _unexpectedly_dead(history: History) -> list[str]:
    fine = {attempt.user for attempt in history.attempts if attempt.expected is not Expected.COMPLETED}
    return [
        f"{end.backend} {end.booking}: {end.error}"
        for end in history.ends
        if end.state == "dead" and end.user not in fine
    ]


def _not_dead(history: History) -> list[str]:
    """What cannot succeed ends in the dead letters, with its reason."""
    condemned = {attempt.user for attempt in history.attempts if attempt.expected is Expected.DEAD}
    found = [
        f"{end.backend} {end.booking}: {end.state} {end.error}"
        for end in history.ends
        if end.user in condemned and not (end.state == "dead" and end.error)
    ]
    return found + [f"{poison.backend} {poison.name}" for poison in history.poisons if not poison.reason]


def _unexpected(history: History) -> list[str]:
    """Bookings that nobody asked for, or more than one for one attempt, or one that was refused."""
    attempts = {attempt.user: attempt for attempt in history.attempts}
    a_user = Counter(end.user for end in history.ends)
    found = [f"{user} has {number} bookings" for user, number in a_user.items() if number > 1]
    for end in history.ends:
        attempt = attempts.get(end.user)
        if attempt is None:
            found.append(f"nobody sent {end.booking} of {end.user}")
        elif attempt.outcome is Outcome.REFUSED and attempt.status < 500:
            found.append(f"{end.booking} was refused with {attempt.status}")
        elif attempt.booking and attempt.booking != end.booking:
            found.append(f"{attempt.user} was told {attempt.booking}, not {end.booking}")
    return found


def _money_missing(history: History) -> list[str]:
    """A confirmed booking is paid, one that is not has its money back."""
    found = []
    for end in history.ends:
        paid = history.charges.get(end.charge_key, 0) - history.refunds.get(end.charge_key, 0)
        if end.confirmed and paid < 1:
            found.append(f"{end.booking} is confirmed and not paid")
        elif end.state in ENDED and not end.confirmed and paid > 0:
            found.append(f"{end.booking} is {end.state} and was not refunded")
    return found


def _not_cancelled(history: History) -> list[str]:
    """Who was told that a booking is being cancelled never finds it confirmed."""
    return [
        f"{end.booking} is {end.state}"
        for end in history.ends
        if history.cancels.get(end.booking) == 202 and not end.cancelled
    ]


def _rooms(history: History) -> Iterable[str]:
    for night in history.nights:
        if night.taken > night.total:
            yield f"{night.name}: {night.taken} of {night.total} rooms taken"
        if night.sold != night.taken:
            yield f"{night.name}: {night.taken} taken, {night.sold} sold"
    confirmed, sold = sum(end.confirmed for end in history.ends), sum(night.sold for night in history.nights)
    if history.nights and sold != confirmed:
        yield f"{sold} rooms sold for {confirmed} confirmed bookings"


def _returned(owners: Sequence[str]) -> bool:
    """Whether somebody who had lost it got it back while another held it."""
    changes = [owner for owner, before in zip(owners, [None, *owners], strict=False) if owner != before]
    return len(changes) > len(set(changes))


def _hangs(history: History, limits: Limits) -> Iterable[str]:
    if limits.answer is None:
        return
    for attempt in history.attempts:
        if attempt.seconds > limits.answer:
            yield f"{attempt.user}: {attempt.outcome} after {attempt.seconds:.1f} s"


def _not_quiet(history: History, limits: Limits) -> Iterable[str]:
    if limits.quiet is None:
        return
    after = history.quiet.after
    if after is None:
        yield f"left: {_listed(history.quiet.left)}"
    elif after > limits.quiet:
        yield f"only {after:.0f} s after the last fault"


def _listed(left: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in left.items() if number) or "nothing known"
