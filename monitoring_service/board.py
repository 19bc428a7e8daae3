"""What the monitoring service knows at this moment, and how it came to know it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil
from redis.asyncio import Redis

from booking_queue.clock import now_ms
from booking_queue.domain.job import Backend
from booking_queue.ledger.epoch import Epoch
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from booking_queue.tasks import end
from booking_queue.web.client import ServiceClient
from monitoring_service import history_file, poller
from monitoring_service.history import History, Moment
from monitoring_service.ledger_reader import LedgerNumbers, LedgerReader
from monitoring_service.poller import Source
from monitoring_service.sampler import Sampler
from monitoring_service.sources import KafkaStats, LaneStats, RqStats, StreamStats
from monitoring_service.tiers import Tiers
from monitoring_service.totals import Totals
from monitoring_service.watch import Watch
from monitoring_service.workers import ROLL_AND_ANSWERS_SECONDS, Workers, WorkersReader

EVERY_SECONDS = 1.0

Lane = TypeVar("Lane", bound=LaneStats)


class Cpu(NamedTuple):
    machine: float
    process: float


class Board:
    def __init__(self, settings: Settings, redis: Redis, metrics: Metrics, every: float = EVERY_SECONDS):
        self.settings = settings
        self.clients = {
            backend: ServiceClient(url, api_key=settings.api_key)
            for backend, url in (
                (Backend.RQ, settings.queue_service_url),
                (Backend.STREAMS, settings.stream_service_url),
                (Backend.KAFKA, settings.kafka_service_url),
            )
        }
        self.epoch = Epoch(redis, settings, metrics)
        reader = LedgerReader(redis, settings, self.epoch)
        self._workers_reader = WorkersReader(reader, settings)
        self.rq = Source("rq", self._stats(Backend.RQ, RqStats), every=every)
        self.streams = Source("redisStreams", self._stats(Backend.STREAMS, StreamStats), every=every)
        self.kafka = Source("kafka", self._stats(Backend.KAFKA, KafkaStats), every=every)
        self._lanes: dict[Backend, Source[Any]] = {
            Backend.RQ: self.rq,
            Backend.STREAMS: self.streams,
            Backend.KAFKA: self.kafka,
        }
        self.workers: Source[Workers] = Source(
            "workers", self._workers_reader.read, every=every, deadline=ROLL_AND_ANSWERS_SECONDS
        )
        self.ledger: Source[LedgerNumbers] = Source("ledger", reader.numbers, every=every)
        self.sources: tuple[Source[Any], ...] = (self.rq, self.streams, self.kafka, self.workers, self.ledger)
        self.totals = Totals(now_ms())
        self.history = History(every)
        self.tiers = Tiers(every)
        self.watch = Watch(self.epoch)
        self._sampler = Sampler()
        self.process = psutil.Process()
        self.cpu = self._cpu()
        self._counted: Workers | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._saving: asyncio.Task[None] | None = None

    def _cpu(self) -> Cpu:
        """Since it was asked last: asked in the same rhythm whoever looks, and by one alone."""
        return Cpu(psutil.cpu_percent(), self.process.cpu_percent())

    def _stats(self, backend: Backend, shape: type[Lane]) -> Callable[[], Awaitable[Lane]]:
        async def ask() -> Lane:
            return shape.model_validate(await self.clients[backend].get("/stats"))

        return ask

    def lane(self, backend: Backend) -> Source[Any]:
        return self._lanes[backend]

    def heard(self, backend: Backend) -> bool:
        """Whether what is told of its work is of now."""
        return not (self.lane(backend).stale and self.ledger.stale)

    def backlog(self, backend: Backend) -> int | None:
        """The broker's own count; while its service is away the ledger's, which has the undelivered legs too."""
        lane: LaneStats | None = self.lane(backend).fresh_value
        if lane:
            return lane.backlog
        return self.ledger.value.backlog[backend].unfinished if self.ledger.value else None

    def due(self, backend: Backend) -> int | None:
        """Of the backlog, what could start or runs. Kafka's offsets cannot tell a retry before its time, nor what has
        ended behind one that runs; the ledger can."""
        lane: LaneStats | None = self.lane(backend).fresh_value
        ledger = self.ledger.value if lane is None else self.ledger.fresh_value
        known = ledger.backlog[backend].due if ledger else None
        if lane is None:
            return known
        due = lane.backlog - lane.scheduled
        return due if known is None or backend is not Backend.KAFKA else min(due, known)

    def waiting(self, backend: Backend) -> int | None:
        """What could start, and has not; not known while it is not known what the workers have in hand."""
        due, workers = self.due(backend), self.workers.fresh_value
        return None if due is None or workers is None else max(0, due - workers.in_hand(backend))

    def oldest_age(self, backend: Backend) -> float | None:
        lane: LaneStats | None = self.lane(backend).fresh_value
        if lane:
            return lane.oldest_age_seconds
        return self.ledger.value.backlog[backend].oldest_age if self.ledger.value else None

    def lag(self, backend: Backend) -> int | None:
        """The last that is known."""
        lane: LaneStats | None = self.lane(backend).value
        return lane.lag if lane else None

    def start(self) -> None:
        if path := self.settings.history_file:
            self.epoch.known = str(history_file.load(path, self.tiers).get("epoch") or "")
            self._tasks.append(asyncio.create_task(self._keep_history(path)))
        self._tasks += poller.start(self.sources, self.tick, self.history.every)

    def tick(self) -> None:
        """Takes down how things stand."""
        self.cpu = self._cpu()
        workers, ledger = self.workers.value, self.ledger.fresh_value
        if workers is not None and workers is not self._counted:
            self.totals.add(workers.answering)
            self._counted = workers
        self.history.add_moment(Moment(time.monotonic(), ledger.counters if ledger else None, self.totals.watched))
        self.tiers.append(now_ms(), self._sampler.sample(self))
        self.watch.look(self)

    async def _keep_history(self, path: Path) -> None:
        while True:
            await asyncio.sleep(history_file.SAVE_SECONDS)
            await self._save(path)

    async def _save(self, path: Path) -> None:
        """A thread goes on when its task is cancelled: `close` waits for it, for both would write the same file."""
        blocks = history_file.packed(self.tiers, {"epoch": self.epoch.known})
        self._saving = asyncio.create_task(asyncio.to_thread(history_file.save, path, blocks))
        await asyncio.shield(self._saving)

    async def close(self) -> None:
        await end(*self._tasks)
        if path := self.settings.history_file:
            if self._saving:
                await asyncio.wait({self._saving})
            await self._save(path)
        await asyncio.gather(*(source.close() for source in self.sources))
        await asyncio.gather(*(client.aclose() for client in self.clients.values()), self._workers_reader.close())


def milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)
