"""What cannot be run goes to the dead letters with its reason, and takes nobody with it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

from tests.faults.breaks import pause, replace_dead_workers
from tests.faults.conftest import FULL, size
from tests.faults.history import Expected, History
from tests.faults.lab import Trial
from tests.faults.load import BACKENDS, Asked, bookings, hopeless
from tests.faults.poison import Poisoner, doses, found
from tests.faults.processes import ProcessLab
from tests.faults.reruns import percentile
from tests.faults.results import Results

MOST_STARTS = 5  # of what kills its worker each time
KILLERS = size(1, 2)  # a backend


def crashing(hotel: str) -> Iterator[Asked]:
    """Some that kill their worker each time they run. In a short run once only: each death costs a lease."""
    times, expected = (10, Expected.DEAD) if FULL else (1, Expected.COMPLETED)
    for n in range(KILLERS):
        for backend in BACKENDS:
            simulate = {"failAt": "document", "crash": True, "times": times}
            yield Asked(f"{hotel}-killer-{backend}-{n}", hotel, backend, expected, {"simulate": simulate})


async def test_poison(shared_lab: ProcessLab, results: Results) -> None:
    lab, count = shared_lab, size(100, 3300)
    await lab.started()
    given = list(doses("poison", max(4, count // 100)))
    observer = lab.observer()
    poisoner = Poisoner(lab, observer)
    calm, trial = Trial(lab, "calm"), Trial(lab, "poisoned")
    before = await calm.run(bookings("calm", size(30, 1000)), per_second=50)
    assert not before.wrong, str(before)

    async def poison(sent: asyncio.Event) -> None:
        tending = asyncio.create_task(replace_dead_workers(lab, asyncio.Event()))
        try:
            for dose in given:
                await pause(0.02, asyncio.Event())
                await poisoner.give(dose)
            lab.fault()
            trial.poisons += await found(lab, given, 40)
            await ended(lab, len(list(crashing("poisoned"))))
        finally:
            tending.cancel()

    asked = [*crashing("poisoned"), *hopeless("poisoned", size(2, 20)), *bookings("poisoned", count)]
    try:
        verdict = await trial.run(asked, poison, per_second=50)
    finally:
        await poisoner.close()
        await observer.close()
    share = 100 * len(given) / (len(given) + len(asked))
    results.add(
        "T8 poison: bad bytes, pickles, wrong schemas, 1 MiB",
        verdict,
        f"{share:.0f} %; {len(trial.history.poisons)} letters; the others' p99 from acceptance to the end "
        f"{p99(trial.history):.1f} s, without poison {p99(calm.history):.1f} s",
    )
    assert most_starts(trial.history) <= MOST_STARTS


async def ended(lab: ProcessLab, killers: int) -> None:
    """Until what kills workers has done so often enough: only then are workers left alone."""
    observer = lab.observer()
    try:
        async with asyncio.timeout(MOST_STARTS * 25):
            while True:
                records = await observer.records(lambda record: "-killer-" in record.data.get("userId", ""))
                legs = [leg for record in records for leg in record.legs.values()]
                if len(legs) >= killers and all(leg.state.terminal for leg in legs):
                    return
                await asyncio.sleep(0.5)
    finally:
        await observer.close()


def most_starts(history: History) -> int:
    """Without an outcome. One that runs alone is begun again by its keeper, which tells `crashed`."""
    counts = (Counter(event.event for event in events) for events in history.audits.values())
    return max(count["started"] + count["crashed"] - count["retrying"] for count in counts)


def p99(history: History) -> float:
    """Of what is good, from acceptance to its end, in seconds."""
    fine = {attempt.booking for attempt in history.attempts if attempt.expected is Expected.COMPLETED}
    seconds = [(events[-1].at - events[0].at) / 1000 for booking, events in history.audits.items() if booking in fine]
    return percentile(seconds, 0.99)
