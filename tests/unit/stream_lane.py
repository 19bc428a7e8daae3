"""The streams on a real Redis: a publisher, raw operations, and consumers whose handlers a test watches."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from booking_queue.backends.base import Delivery
from booking_queue.backends.redis_stream import LUA, Names, StreamConsumer, StreamPublisher
from booking_queue.backends.slots import Slots
from booking_queue.backends.stream.delivery import Entry
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.domain.job import Backend, NewJob, Options
from booking_queue.ledger.connection import connect
from booking_queue.ledger.ledger import Claim, Ledger, LegRef
from booking_queue.ledger.record import Leg
from booking_queue.ledger.script import Scripts
from booking_queue.settings import Settings

STREAMS = Backend.STREAMS

T = TypeVar("T")


class Streams:
    def __init__(self, settings: Settings):
        self.settings = settings
        self.names = Names(settings)
        self.redis: Any = connect(settings)
        self.scripts = Scripts(self.redis, settings, extra=LUA)
        self.ledger = Ledger(self.scripts)
        self.publisher = StreamPublisher(self.scripts, settings)

    @property
    def normal(self) -> str:
        return self.names.stream

    def key(self, name: str) -> str:
        return f"{self.settings.key_prefix}:{name}"

    async def call(self, op: str, *args: Any) -> Any:
        return await self.scripts.call(op, *args)

    async def accept(self, tenant: str = "", **options: Any) -> str:
        job_id, asked = str(uuid.uuid4()), Options(**options)
        job = NewJob(id=job_id, type="noop", data={"n": 1}, options=asked, backends=[STREAMS], tenant=tenant)
        assert await self.ledger.accept(job)
        return job_id

    async def send(self, **options: Any) -> str:
        job_id = await self.accept(**options)
        (answer,) = await self.publisher.publish([LegRef(job_id, 1)])
        if isinstance(answer, Exception):
            raise answer
        return job_id

    async def leg(self, job_id: str) -> Leg:
        record = await self.ledger.get(job_id)
        assert record
        return record.legs[STREAMS]

    async def stream_id(self, job_id: str) -> str:
        receipt = (await self.leg(job_id)).receipt
        assert receipt
        return str(receipt["streamId"])

    async def take(self, consumer: str, slots: int, *, fair: int = 0, own: int = 0, look: int = 0) -> list[Entry]:
        answer = await self.call("stream_take", consumer, slots, fair, own, look)
        return [Entry.of(raw) for raw in answer[0]]

    async def taken_ids(self, consumer: str, slots: int, **how: int) -> list[str]:
        return [entry.text("messageId") for entry in await self.take(consumer, slots, **how)]

    async def claim(self, job_id: str, worker: str = "w1") -> Claim:
        claim = await self.ledger.claim(job_id, STREAMS, (await self.leg(job_id)).generation, worker)
        assert isinstance(claim, Claim), claim
        return claim

    async def pending(self) -> list[list[Any]]:
        return await self.publisher.pending(1000)

    async def length(self, stream: str = "") -> int:
        return int(await self.redis.xlen(stream or self.normal))

    async def now_ms(self) -> int:
        seconds, micros = await self.redis.time()
        return int(seconds * 1000 + micros // 1000)


class Worker:
    """A consumer. Each handler claims, waits at the gate, acknowledges."""

    def __init__(self, streams: Streams, name: str, slots: int = 4):
        self.streams = streams
        self.name = name
        self.slots = Slots(slots)
        self.stop = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.started: list[str] = []
        self.held: list[tuple[Delivery, Claim]] = []
        self.consumer = StreamConsumer(streams.settings, streams.scripts, name)
        self.task = asyncio.create_task(self.consumer.run(self.handle, self.slots, self.stop))

    async def handle(self, delivery: Delivery) -> None:
        envelope = delivery.envelope
        self.started.append(envelope.id)
        ledger = self.streams.ledger
        while True:
            answer = await surely(lambda: ledger.claim(envelope.id, STREAMS, envelope.generation, self.name))
            if isinstance(answer, Claim) or answer.reason != "busy":
                break
            await asyncio.sleep(answer.wait_ms / 1000)
        if not isinstance(answer, Claim):
            await surely(lambda: delivery.ack(None))
            return
        self.held.append((delivery, answer))
        await self.gate.wait()
        await surely(lambda: delivery.ack(answer, {"by": self.name}))

    async def leave(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 20)
        await self.consumer.close()

    async def vanish(self) -> None:
        """As kill -9 does."""
        self.task.cancel()
        self.slots.cancel_all()
        with suppress(asyncio.CancelledError):
            await self.task
        await self.consumer.close()


@asynccontextmanager
async def streams_of(settings: Settings) -> AsyncIterator[Streams]:
    streams = Streams(settings)
    await streams.publisher.open()
    try:
        yield streams
    finally:
        await streams.redis.aclose()


@asynccontextmanager
async def worker_of(
    streams: Streams, name: str = "w1", slots: int = 4, *, gated: bool = False
) -> AsyncIterator[Worker]:
    worker = Worker(streams, name, slots)
    if gated:
        worker.gate.clear()
    try:
        yield worker
    finally:
        if not worker.task.done():
            await worker.vanish()


async def surely(call: Callable[[], Awaitable[T]]) -> T:
    """Again until Redis answers, as the worker does."""
    while True:
        try:
            return await call()
        except LedgerUnavailable:
            await asyncio.sleep(0.05)


async def eventually(check: Callable[[], Awaitable[Any]], what: str, patience: float = 30) -> Any:
    """Waits for an event, by looking."""
    try:
        async with asyncio.timeout(patience):
            while not (found := await surely(check)):
                await asyncio.sleep(0.02)
            return found
    except TimeoutError:
        raise AssertionError(f"waited {patience:g} s for {what}") from None


async def completed(streams: Streams, *jobs: str) -> None:
    async def all_done() -> bool:
        return all([(await streams.leg(job)).state == "completed" for job in jobs])

    await eventually(all_done, f"{len(jobs)} jobs to be completed")


async def holding(worker: Worker, count: int) -> None:
    async def enough() -> bool:
        return len(worker.held) >= count

    await eventually(enough, f"{count} claims")
