"""A suite to break: child processes on free ports, workers that can be killed and frozen, and trials under load."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from booking_queue.domain.job import State
from booking_queue.settings import Settings
from local.kafka_server import write_kafka_config
from local.private_suite import PrivateSuite
from local.probe import LOOPBACK
from tests.faults.checker import Limits, Verdict, judge
from tests.faults.history import History, Poison, Quiet, Stopped
from tests.faults.load import Asked, Load, Log
from tests.faults.observe import Observer, ends_of

SERVICES = ("providers", "queue_service", "stream_service", "kafka_service", "api_service")
ROOMS = 1_000_000
START_SECONDS = 40.0
PATIENCE = 60.0  # from the last fault until nothing is left to do
# `make faults` has the machine to itself and holds the suite to its bounds; beside other tests nothing is timed.
BOUNDED = bool(os.environ.get("FAULTS_REPORT"))
UNBOUNDED = Limits(None, None, None, None)

Say = Callable[[str], None]
Breaks = Callable[[asyncio.Event], Awaitable[Any]]
"""Breaks things while the load is sent; gets the event that it was."""


class LabSuite(PrivateSuite):
    """`planted`: by the name of a service, or `worker`, the bug it starts with. `detours`: settings that lead a service
    to a broker through a proxy."""

    def __init__(self, folder: Path):
        super().__init__(folder, LOG_LEVEL="WARNING", INVENTORY_DEFAULT_ROOMS=str(ROOMS))
        self.planted: dict[str, str] = {}
        self.detours: dict[str, str] = {}

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, **self.detours}

    def start_worker(self, **env: str) -> str:
        """Its id in the system is its name here."""
        return super().start_worker(**{"WORKER_ID": f"w{self._workers + 1}", **env})

    def _spawn(self, name: str, module: str, **env: str) -> None:
        bug = self.planted.get("worker" if module == "worker_service.app" else name)
        if bug:
            super()._spawn(name, "tests.faults.planted", PLANTED_BUG=bug, PLANTED_MODULE=module, **env)
        else:
            super()._spawn(name, module, **env)

    def advertise_kafka_at(self, port: int) -> None:
        """Clients are led to `port`, whichever address they came by."""
        kafka = self.kafka
        command = kafka.command

        def leading_there() -> list[str]:
            told = command()
            config = write_kafka_config(kafka.folder, kafka.port, kafka.controller_port)
            own = f"advertised.listeners=PLAINTEXT://{LOOPBACK}:"
            config.write_text(config.read_text().replace(f"{own}{kafka.port}", f"{own}{port}"))
            return told

        kafka.command = leading_there  # type: ignore[method-assign]


class Lab:
    def __init__(self, folder: Path, say: Say, *, kafka: bool = True):
        self.suite = LabSuite(folder)
        self.say = say
        self.workers: list[str] = []
        self.stopped: list[Stopped] = []
        self.last_fault = time.monotonic()
        self._kafka = kafka

    def start(self, workers: int = 2) -> None:
        services = tuple(name for name in SERVICES if self._kafka or name != "kafka_service")
        self.say("starting brokers and services")
        self.suite.start(services, kafka=self._kafka)
        for _ in range(workers):
            self.start_worker()

    def close(self) -> None:
        for process in self.suite.processes.values():
            process.send_signal(signal.SIGCONT)  # a frozen one cannot end
        self.suite.close()

    def observer(self) -> Observer:
        """Past every proxy."""
        settings = Settings(
            redis_host=LOOPBACK,
            redis_port=self.suite.redis.port,
            redis_password=self.suite.redis.password,
            kafka_broker=self.suite.env["KAFKA_BROKER"],
        )
        return Observer(settings, self.suite.folder / "providers.sqlite3", kafka=self._kafka)

    async def plant(self, part: str, bug: str, *, workers: int) -> None:
        """From here on this service, or the workers, have this bug, and nothing of what was done before is left."""
        services = {part, *self.suite.planted} - {"worker"}
        self.suite.planted = {part: bug}
        for name in list(self.workers):
            self.kill_worker(name)
        observer = self.observer()
        await observer.redis.flushall()
        await observer.close()
        for name in services:
            await asyncio.to_thread(self._restart_service, name)
        for _ in range(workers):
            self.start_worker()
        await self.started()

    def _restart_service(self, name: str) -> None:
        self.suite.stop(name)
        self.suite.start_service(name)
        self.suite.wait_for(name)

    # Workers

    def start_worker(self, **env: str) -> str:
        name = self.suite.start_worker(**env)
        self.workers.append(name)
        return name

    def fault(self) -> None:
        """Something was broken, or mended, just now."""
        self.last_fault = time.monotonic()

    def kill_worker(self, name: str = "") -> str:
        name = name or random.choice(self.workers)
        self.workers.remove(name)
        self.stopped.append(Stopped(int(time.time() * 1000), name))
        self.suite.kill(name)
        self.fault()
        return name

    def freeze_worker(self, name: str) -> None:
        self.stopped.append(Stopped(int(time.time() * 1000), name))
        self.suite.processes[name].send_signal(signal.SIGSTOP)
        self.fault()

    def thaw_worker(self, name: str) -> None:
        self.suite.processes[name].send_signal(signal.SIGCONT)
        self.fault()

    async def stop_worker(self, name: str) -> int:
        """SIGTERM; its exit status."""
        self.workers.remove(name)
        status = await asyncio.to_thread(self.suite.stop, name)
        self.fault()
        return status

    def remove_dead_workers(self) -> int:
        """Those that ended by themselves; how many."""
        dead = [name for name in self.workers if self.suite.processes[name].poll() is not None]
        for name in dead:
            self.stopped.append(Stopped(int(time.time() * 1000), name))
            self.workers.remove(name)
            self.suite.processes.pop(name)
            self.fault()
        return len(dead)

    async def started(self, *names: str) -> None:
        """Until these workers are at work."""
        observer = self.observer()
        try:
            async with asyncio.timeout(START_SECONDS):
                for name in names or tuple(self.workers):
                    while b"startedAt" not in await _entry(observer, name):
                        if self.suite.processes[name].poll() is not None:
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
        self.poisons: list[Poison] = []
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
        watching = asyncio.create_task(observer.owners(self.owners))
        self.load = Load(lab.suite.ports["api_service"], self.log, connections=connections, per_second=per_second)
        lab.say(f"{self.name}: sending")
        lab.fault()
        try:
            breaking = asyncio.create_task(_all_of(breaks, sent))
            try:
                await self.load.send(asked)
            finally:
                sent.set()
                ended = time.monotonic()
                await breaking
            lab.say(f"{self.name}: {len(self.load.acked)} of {self.load.sent} accepted; until all is quiet")
            self.history = await self._history(observer, max(ended, lab.last_fault), patience)
        finally:
            watching.cancel()
            await observer.close()
        verdict = judge(self.history, limits if BOUNDED else UNBOUNDED)
        lab.say(f"{self.name}: {_told(verdict)}")
        return verdict

    async def _history(self, observer: Observer, since: float, patience: float) -> History:
        lab = self.lab
        quiet = await observer.quiet(since, patience)
        records = await observer.records(lambda record: record.data.get("hotelId") == self.name)
        jobs = [record.id for record in records]
        charges, refunds, raw_charges, raw_mails = await asyncio.to_thread(observer.money, jobs)
        waits = [r for r in records if any(leg.state is State.ACTIVE for leg in r.legs.values())]
        if quiet.after is None and waits:
            lab.say(f"{self.name}: still {len(waits)} at work")
        copies = await observer.copies()
        return History(
            attempts=self.log.attempts(),
            ends=ends_of(records),
            quiet=quiet,
            charges=charges,
            refunds=refunds,
            raw_charges=raw_charges,
            raw_mails=raw_mails,
            nights=await observer.nights(self.name, ROOMS),
            audits=await observer.audits(jobs),
            stopped=list(lab.stopped),
            copies={key: number for key, number in copies.items() if key.split()[1] in set(jobs)},
            owners=self.owners,
            poisons=self.poisons,
        )


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
