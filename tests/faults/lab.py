"""A suite to break, whose workers can be killed and frozen, and trials under load."""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from redis.exceptions import RedisError

from booking_queue.domain.job import State
from booking_queue.settings import Settings
from booking_queue.tasks import end
from tests.faults.checker import Limits, Verdict, judge
from tests.faults.history import History, Poison, Quiet, Stopped
from tests.faults.load import Asked, Load, Log
from tests.faults.observe import Observer, ends_of

ROOMS = 1_000_000
START_SECONDS = 40.0
# `make faults` has the machine to itself and holds the suite to its bounds; beside other tests nothing is timed.
BOUNDED = bool(os.environ.get("FAULTS_REPORT"))
UNBOUNDED = Limits(None, None, math.inf, None)
PATIENCE = 60.0 if BOUNDED else 180.0  # from the last fault until nothing is left to do

Say = Callable[[str], None]
Breaks = Callable[[asyncio.Event], Awaitable[Any]]
"""Breaks things while the load is sent; gets the event that it was."""


class Broker(Protocol):
    def kill(self) -> None: ...
    def stop(self) -> None: ...
    def start(self) -> None: ...


class Suite(Protocol):
    """What a lab needs of a suite, whether it is made of processes or of containers. Workers go by their names in the
    system."""

    folder: Path
    has_kafka: bool

    @property
    def kafka(self) -> Broker: ...
    @property
    def api_port(self) -> int: ...
    def begin(self, workers: int) -> list[str]: ...
    def close(self) -> None: ...
    def settings(self) -> Settings: ...
    def providers_db(self) -> Path: ...
    def start_worker(self) -> str: ...
    def kill(self, name: str) -> None: ...
    def stop(self, name: str) -> int: ...
    def freeze(self, name: str) -> None: ...
    def thaw(self, name: str) -> None: ...
    def ended(self, name: str) -> bool: ...
    def forget(self, name: str) -> None: ...
    def log(self, name: str) -> str: ...


class Lab:
    def __init__(self, suite: Suite, say: Say):
        self.suite = suite
        self.say = say
        self.workers: list[str] = []
        self.stopped: list[Stopped] = []
        self.last_fault = time.monotonic()

    def start(self, workers: int = 2) -> None:
        self.say("starting brokers and services")
        self.workers = self.suite.begin(workers)

    def observer(self) -> Observer:
        return Observer(self.suite.settings(), self.suite.providers_db, kafka=self.suite.has_kafka)

    # Workers

    def start_worker(self) -> str:
        name = self.suite.start_worker()
        self.workers.append(name)
        return name

    def fault(self) -> None:
        """Something was broken, or mended, just now."""
        self.last_fault = time.monotonic()

    def kill_worker(self, name: str = "") -> str:
        name = name or random.choice(self.workers)
        self.workers.remove(name)
        self._has_stopped(name)
        self.suite.kill(name)
        self.fault()
        return name

    def _has_stopped(self, name: str) -> None:
        self.stopped.append(Stopped(int(time.time() * 1000), name))
        self.fault()

    def freeze_worker(self, name: str) -> None:
        self._has_stopped(name)
        self.suite.freeze(name)
        self.fault()

    def thaw_worker(self, name: str) -> None:
        self.suite.thaw(name)
        self.fault()

    async def stop_worker(self, name: str) -> int:
        """SIGTERM; its exit status."""
        self.workers.remove(name)
        status = await asyncio.to_thread(self.suite.stop, name)
        self.fault()
        return status

    def remove_dead_workers(self) -> int:
        """Those that ended by themselves; how many."""
        dead = [name for name in self.workers if self.suite.ended(name)]
        for name in dead:
            self._has_stopped(name)
            self.workers.remove(name)
            self.suite.forget(name)
        return len(dead)

    async def started(self, *names: str) -> None:
        """Until these workers are at work."""
        observer = self.observer()
        try:
            async with asyncio.timeout(START_SECONDS):
                for name in names or tuple(self.workers):
                    while b"startedAt" not in await _entry(observer, name):
                        if await asyncio.to_thread(self.suite.ended, name):
                            raise RuntimeError(f"{name} ended: {self.suite.log(name)}")
                        await asyncio.sleep(0.1)
        finally:
            await observer.close()


async def _entry(observer: Observer, worker: str) -> bytes:
    try:
        return bytes(await observer.redis.get(f"bq:worker:{worker}") or b"")
    except (RedisError, OSError):
        return b""


class Trial:
    """One load under one kind of fault, told apart from others by its hotel."""

    def __init__(self, lab: Lab, name: str):
        self.lab = lab
        self.name = name
        self.log = Log(lab.suite.folder / f"{name}.jsonl")
        self.load: Load | None = None
        self.owners: dict[str, list[str]] = {}
        self.queued: Counter[str] = Counter()
        self.poisons: list[Poison] = []
        self.cancels: dict[str, int] = {}
        self.places: dict[str, tuple[str, int]] = {}  # by user: the ordering key, and the how manieth it is
        self.history = History((), (), Quiet(None))

    async def run(
        self,
        asked: Iterable[Asked],
        breaks: Breaks | None = None,
        *,
        limits: Limits | None = None,
        patience: float = PATIENCE,
        per_second: float | None = None,
        connections: int = 12,
    ) -> Verdict:
        lab, sent = self.lab, asyncio.Event()
        lab.stopped.clear()
        observer = lab.observer()
        watching = asyncio.create_task(observer.watch(self.owners, self.queued))
        self.load = Load(lab.suite.api_port, self.log, connections=connections, per_second=per_second)
        lab.say(f"{self.name}: sending")
        lab.fault()
        try:
            breaking = asyncio.create_task(_all_of(breaks, sent))
            try:
                await self.load.send(self._noted(asked))
            finally:
                sent.set()
                ended = time.monotonic()
                await breaking
            lab.say(f"{self.name}: {len(self.load.acked)} of {self.load.sent} accepted; until all is quiet")
            self.history = await self._history(observer, max(ended, lab.last_fault), patience)
        finally:
            await end(watching)
            await observer.close()
        verdict = judge(self.history, limits if BOUNDED else UNBOUNDED)
        lab.say(f"{self.name}: {_told(verdict)}")
        return verdict

    def _noted(self, asked: Iterable[Asked]) -> Iterator[Asked]:
        for place, one in enumerate(asked):
            if key := one.more.get("orderingKey"):
                self.places[one.user] = (f"{one.backend} {key}", place)
            yield one

    async def _history(self, observer: Observer, since: float, patience: float) -> History:
        lab = self.lab
        quiet = await observer.quiet(since, patience)
        records = await observer.records(lambda record: record.data.get("hotelId") == self.name)
        jobs = [record.id for record in records]
        money = await asyncio.to_thread(observer.money, jobs)
        waits = [r for r in records if any(leg.state is State.ACTIVE for leg in r.legs.values())]
        if quiet.after is None and waits:
            lab.say(f"{self.name}: still {len(waits)} at work")
        copies, known = await observer.copies() | self.queued, set(jobs)
        return History(
            attempts=self.log.attempts(),
            ends=ends_of(records),
            quiet=quiet,
            charges=money.charges,
            refunds=money.refunds,
            raw_charges=money.calls["charge"],
            raw_mails=money.calls["mail"],
            mails=money.mails,
            nights=await observer.nights(self.name, ROOMS),
            audits=await observer.audits(jobs),
            stopped=list(lab.stopped),
            copies={key: number for key, number in copies.items() if key.split()[1] in known},
            owners=self.owners,
            poisons=self.poisons,
            versions=self._versions(money.order),
            cancels=self.cancels,
        )

    def _versions(self, order: Iterable[str]) -> dict[str, list[int]]:
        """By ordering key and backend: which of its bookings, counted as they were sent, was charged when."""
        attempts = {attempt.booking: attempt for attempt in self.log.attempts() if attempt.booking}
        found: dict[str, list[int]] = {}
        for booking in order:
            place = self.places.get(attempts[booking].user) if booking in attempts else None
            if place:
                found.setdefault(place[0], []).append(place[1])
        return found


async def _all_of(breaks: Breaks | None, sent: asyncio.Event) -> None:
    if breaks:
        await breaks(sent)


def _told(verdict: Verdict) -> str:
    quiet = "never quiet" if verdict.quiet_after is None else f"quiet after {verdict.quiet_after:.1f} s"
    lanes = "; ".join(
        f"{backend} {lane.acked} acked, {len(lane.lost)} lost, {len(lane.doubled)} twice"
        + (f", {len(lane.reruns)} run again, p99 {lane.rerun[1]:.1f} s" if lane.reruns else "")
        for backend, lane in verdict.lanes.items()
    )
    return f"{quiet}; {lanes}; {str(verdict).splitlines()[0]}"
