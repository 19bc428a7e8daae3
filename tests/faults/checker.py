"""From the evidence to a verdict. Pure: it opens nothing and asks nobody, so that it can be tested by itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.faults.history import End, Event, Expected, History, Outcome
from tests.faults.reruns import LETS_GO, percentile, reruns

ENDED = {"completed", "dead", "cancelled"}
TRY_AGAIN = {429, 503}
ENOUGH_FOR_A_P99 = 100  # of fewer it is the longest, which has a bound of its own


@dataclass(frozen=True)
class Limits:
    """The promised bounds, in seconds; None where a trial has nothing to say about one. `accepted`: the least share of
    what was sent, since a suite that refuses everything keeps every other promise."""

    rerun_p99: float | None = 20.0
    rerun_max: float | None = 30.0
    quiet: float | None = 60.0
    answer: float | None = 10.0
    accepted: float = 0.5


ALL_TAKEN = Limits(accepted=1.0)
"""Where nothing is broken between a client and the ledger."""


@dataclass
class Lane:
    """What one backend is accused of, or all together, and its figures."""

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
    handed_back: list[str]  # begun, and given back before its end

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
    bookings, paid = _bookings(history), _paid(history)
    lanes = _lanes(history, bookings, paid)
    for backend, lane in lanes.items():
        wrong["lost"] += (f"{backend} {booking}" for booking in lane.lost)
        wrong["doubled"] += lane.doubled
        wrong["rerun"] += _slow_reruns(backend, lane, limits)
    wrong["unexpectedly dead"] += _unexpectedly_dead(history)
    wrong["not dead"] += _not_dead(history)
    wrong["unexpected"] += _unexpected(history, bookings)
    wrong["refused"] += _refused(history, limits)
    wrong["not charged"] += _money_missing(bookings, paid)
    wrong["not confirmed"] += _not_confirmed(history, bookings)
    wrong["mails"] += _mails(history, bookings)
    wrong["rooms"] += _rooms(history, bookings)
    wrong["published twice"] += [f"{key}: {copies} messages" for key, copies in history.copies.items() if copies > 1]
    wrong["stolen back"] += [key for key, owners in history.owners.items() if _returned(owners)]
    wrong["not cancelled"] += _not_cancelled(history)
    wrong["version"] += [key for key, found in history.versions.items() if list(found) != sorted(found)]
    wrong["hang"] += _hangs(history, limits)
    wrong["not quiet"] += _not_quiet(history, limits)
    wrong["ownerless key"] += history.quiet.ownerless
    charged = max(1, len({_booking(key) for key, number in history.charges.items() if number}))
    return Verdict(
        lanes,
        {name: found for name, found in wrong.items() if found},
        history.quiet.after,
        history.raw_charges * 1e6 / charged,
        history.raw_mails * 1e6 / charged,
        [job for job, events in history.audits.items() if _begun_again(events)],
        [job for job, events in history.audits.items() if any(event.event == "released" for event in events)],
    )


def _bookings(history: History) -> dict[str, list[End]]:
    found: dict[str, list[End]] = defaultdict(list)
    for end in history.ends:
        found[end.booking].append(end)
    return found


def _booking(key: str) -> str:
    """Whose effect it is: keys are `{booking}:{step}`, of a later round `{booking}:{step}:{round}`."""
    return key.partition(":")[0]


def _paid(history: History) -> Counter[str]:
    """Charges that were not given back, by booking, whatever their keys."""
    found: Counter[str] = Counter()
    for key, number in history.charges.items():
        found[_booking(key)] += number - history.refunds.get(key, 0)
    return found


def _lanes(history: History, bookings: Mapping[str, Sequence[End]], paid: Mapping[str, int]) -> dict[str, Lane]:
    lanes: dict[str, Lane] = defaultdict(Lane)
    for attempt in history.attempts:
        lane = lanes[attempt.backend]
        lane.attempts += 1
        lane.acked += attempt.outcome is Outcome.ACKED
        lane.refused += attempt.outcome is Outcome.REFUSED
        lane.unknown += attempt.outcome in (Outcome.UNKNOWN, Outcome.CUT_OFF)
        states = {leg.state for leg in bookings.get(attempt.booking, ())} or {"no record"}
        if attempt.outcome is Outcome.ACKED and states - ENDED:
            lane.lost.append(f"{attempt.booking} ({', '.join(sorted(states - ENDED))})")
    lane_of = {attempt.user: attempt.backend for attempt in history.attempts}
    for booking, legs in bookings.items():
        backend = lane_of.get(legs[0].user, legs[0].backend)
        lanes[backend].doubled += _doubled(booking, paid.get(booking, 0), history.audits.get(booking, ()))
    for backend, seconds in reruns(history.audits, history.stopped).items():
        lanes[backend].reruns += seconds
    return dict(lanes)


def _doubled(booking: str, paid: int, events: Sequence[Event]) -> Iterable[str]:
    if paid > 1:
        yield f"{booking} is paid {paid} times"
    for once in ("completed", "confirmed", "compensated"):
        # Each leg completes; the booking is confirmed by one of them.
        for backend, number in Counter(event.backend for event in events if event.event == once).items():
            if number > 1:
                yield f"{booking} is {once} {number} times{f' on {backend}' * bool(backend)}"


def _begun_again(events: Sequence[Event]) -> bool:
    """On one backend, two starts with nothing between them that ends or hands back the first."""
    told: dict[str, list[str]] = defaultdict(list)
    for event in events:
        if event.event == "started" or event.event in LETS_GO:
            told[event.backend].append(event.event)
    return any(one == after == "started" for leg in told.values() for one, after in pairwise(leg))


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


def _unexpected(history: History, bookings: Mapping[str, Sequence[End]]) -> list[str]:
    """Bookings that nobody asked for, or more than one for one attempt, or one that was refused."""
    attempts = {attempt.user: attempt for attempt in history.attempts}
    a_user = Counter(legs[0].user for legs in bookings.values())
    found = [f"{user} has {number} bookings" for user, number in a_user.items() if number > 1]
    for booking, legs in bookings.items():
        attempt = attempts.get(legs[0].user)
        if attempt is None:
            found.append(f"nobody sent {booking} of {legs[0].user}")
        elif attempt.outcome is Outcome.REFUSED and attempt.status < 500:
            found.append(f"{booking} was refused with {attempt.status}")
        elif attempt.booking and attempt.booking != booking:
            found.append(f"{attempt.user} was told {attempt.booking}, not {booking}")
    return found


def _refused(history: History, limits: Limits) -> Iterable[str]:
    """Who cannot be served is told so in a way that clients know, and there are not too many of them."""
    refused = [attempt for attempt in history.attempts if attempt.outcome is Outcome.REFUSED]
    for attempt in refused:
        if attempt.status not in TRY_AGAIN or not attempt.retry_after:
            yield f"{attempt.user}: {attempt.status}, Retry-After {attempt.retry_after or 'missing'}"
    accepted, sent = sum(attempt.outcome is Outcome.ACKED for attempt in history.attempts), len(history.attempts)
    if accepted < limits.accepted * sent:
        yield f"only {accepted} of {sent} were accepted"


def _money_missing(bookings: Mapping[str, Sequence[End]], paid: Mapping[str, int]) -> Iterable[str]:
    """A confirmed booking is paid, one that is not has its money back."""
    for booking, legs in bookings.items():
        states = {leg.state for leg in legs}
        if legs[0].confirmed and paid.get(booking, 0) < 1:
            yield f"{booking} is confirmed and not paid"
        elif not states - ENDED and not legs[0].confirmed and paid.get(booking, 0) > 0:
            yield f"{booking} is {', '.join(sorted(states))} and was not refunded"


def _not_confirmed(history: History, bookings: Mapping[str, Sequence[End]]) -> Iterable[str]:
    """What can succeed is confirmed in the end, unless somebody was told that it is being cancelled."""
    hopeful = {attempt.user for attempt in history.attempts if attempt.expected is Expected.COMPLETED}
    for booking, legs in bookings.items():
        states = {leg.state for leg in legs}
        wanted = legs[0].user in hopeful and history.cancels.get(booking) != 202
        if wanted and not states - ENDED and not legs[0].confirmed:
            yield f"{booking} is {', '.join(sorted(states))} and not confirmed"


def _mails(history: History, bookings: Mapping[str, Sequence[End]]) -> Iterable[str]:
    """A confirmation for each confirmed booking, and one alone; another only for a round after its money was given
    back. Deliveries of the same Message-ID are one mail to whoever reads it."""
    refunds: Counter[str] = Counter()
    for key, number in history.refunds.items():
        refunds[_booking(key)] += number
    for booking, legs in bookings.items():
        number = history.mails.get(booking, 0)
        if legs[0].confirmed and not number:
            yield f"{booking} is confirmed, and no mail says so"
        elif number > 1 + refunds[booking]:
            yield f"{booking} has {number} confirmations"


def _not_cancelled(history: History) -> list[str]:
    """Who was told that a booking is being cancelled never finds it confirmed."""
    return [
        f"{end.booking} is {end.state}"
        for end in history.ends
        if history.cancels.get(end.booking) == 202 and not end.cancelled
    ]


def _rooms(history: History, bookings: Mapping[str, Sequence[End]]) -> Iterable[str]:
    for night in history.nights:
        if night.taken > night.total:
            yield f"{night.name}: {night.taken} of {night.total} rooms taken"
        if night.sold != night.taken:
            yield f"{night.name}: {night.taken} taken, {night.sold} sold"
    confirmed = sum(legs[0].confirmed for legs in bookings.values())
    sold = sum(night.sold for night in history.nights)
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
