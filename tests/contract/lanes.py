"""One lane under test: a backend's publisher, its consumers, and the real ledger; the same verbs for every backend."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer

from booking_queue.backends import kafka_topic, redis_stream, rq_queue
from booking_queue.backends.base import Consumer, Handle, Published, Publisher
from booking_queue.backends.memory import MemoryConsumer, MemoryPublisher
from booking_queue.backends.memory_broker import MemoryBroker
from booking_queue.backends.slots import Slots
from booking_queue.domain.job import Backend, NewJob, Options, Priority
from booking_queue.handlers.base import Outside
from booking_queue.ledger.connection import connect
from booking_queue.ledger.effects import Effects
from booking_queue.ledger.ledger import Ledger, LegRef
from booking_queue.ledger.outbox import Outbox
from booking_queue.ledger.record import Leg
from booking_queue.ledger.script import Scripts
from booking_queue.ledger.watch import EffectWatch
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from tests.contract.worker import Journal, Nothing, Worker, eventually
from worker_service.attempt import Tools
from worker_service.heartbeat import Heartbeat
from worker_service.processor import Processor


class Lane:
    """`kind` is memory or a backend's name."""

    def __init__(self, kind: str, settings: Settings, stack: AsyncExitStack):
        self.kind = kind
        self.backend = Backend.RQ if kind == "memory" else Backend(kind)
        self.settings = settings
        self.journal = Journal()
        self.redis = connect(settings)
        # The reference broker stands in for RQ: RQ's own Lua would put the next of an ordering key onto RQ.
        self._lua = "" if kind == "memory" else rq_queue.LUA + "\n" + redis_stream.LUA
        self.scripts = Scripts(self.redis, settings, extra=self._lua)
        self.ledger = Ledger(self.scripts)
        self.broker = MemoryBroker(lease_seconds=settings.lease_seconds)
        self.publisher = self._publisher()
        self._stack = stack
        self._workers: list[Worker] = []

    def _publisher(self) -> Publisher:
        makers: dict[str, Callable[[], Publisher]] = {
            "memory": lambda: MemoryPublisher(self.ledger, self.broker, self.backend),
            "rq": lambda: rq_queue.RqPublisher(self.scripts, self.settings),
            "redisStreams": lambda: redis_stream.StreamPublisher(self.scripts, self.settings),
            "kafka": lambda: kafka_topic.KafkaPublisher(self.ledger, self.settings),
        }
        return makers[self.kind]()

    def _consumer(self, worker_id: str, scripts: Scripts) -> Consumer:
        makers: dict[str, Callable[[], Consumer]] = {
            "memory": lambda: MemoryConsumer(Ledger(scripts), self.broker, self.backend),
            "rq": lambda: rq_queue.RqConsumer(self.settings, scripts, worker_id),
            "redisStreams": lambda: redis_stream.StreamConsumer(self.settings, scripts, worker_id),
            "kafka": lambda: kafka_topic.KafkaConsumer(self.settings, Ledger(scripts), worker_id),
        }
        return makers[self.kind]()

    async def open(self) -> None:
        await self.publisher.open()

    async def close(self) -> None:
        for worker in self._workers:
            if not worker.task.done():
                await worker.vanish()
        await self.publisher.close()
        await self.redis.aclose()

    async def worker(
        self,
        slots: int = 4,
        *,
        heartbeat: bool = True,
        wrap: Callable[[Handle], Handle] | None = None,
    ) -> Worker:
        """Starts a consumer with the real processor. Without `heartbeat` it is a zombie in the making."""
        redis = connect(self.settings)
        self._stack.push_async_callback(redis.aclose)
        scripts = Scripts(redis, self.settings, extra=self._lua)
        name = f"w{len(self._workers) + 1}"
        tools = Tools(
            settings=self.settings,
            ledger=Ledger(scripts),
            effects=Effects(scripts),
            watch=EffectWatch(redis, self.settings),
            outside=Outside(Nothing(), Nothing(), Nothing()),  # type: ignore[arg-type]
            handlers=self.journal.handlers(),
            metrics=Metrics(),
            worker_id=name,
        )
        beat = Heartbeat(self.settings)
        processor = Processor(self.backend, tools, Slots(slots), beat)
        consumer = self._consumer(name, scripts)
        await consumer.open()
        stop = asyncio.Event()
        handle = wrap(processor.handle) if wrap else processor.handle
        task = asyncio.create_task(consumer.run(handle, processor.slots, stop))
        beating = asyncio.create_task(beat.run(asyncio.Event()) if heartbeat else asyncio.sleep(3600))
        worker = Worker(task, stop, processor, beating, consumer)
        self._workers.append(worker)
        return worker

    async def accept(
        self, kind: str = "noop", fails: int = 0, data: dict[str, Any] | None = None, tenant: str = "", **options: Any
    ) -> str:
        job_id = str(uuid.uuid4())
        if fails:
            self.journal.failures[job_id] = fails
        asked, legs = Options(**options), [self.backend]
        job = NewJob(id=job_id, type=kind, data=data or {"n": 1}, options=asked, backends=legs, tenant=tenant)
        assert await self.ledger.accept(job)
        return job_id

    async def publish(self, job_id: str, generation: int = 1) -> Published:
        answer = (await self.publisher.publish([LegRef(job_id, generation)]))[0]
        assert isinstance(answer, Published), answer
        return answer

    async def send(self, kind: str = "noop", fails: int = 0, **options: Any) -> str:
        job_id = await self.accept(kind, fails, **options)
        await self.publish(job_id)
        return job_id

    async def put_raw(self, raw: bytes) -> None:
        """Bytes of a stranger, put where the broker's messages stand, by the broker's own means."""
        queue, stream = (f"{self.settings.name_prefix}booking-{name}" for name in ("queue", "stream"))
        match self.kind:
            case "memory":
                self.broker.put(raw, Priority.NORMAL)
            case "rq":
                stranger = str(uuid.uuid4())
                await self.redis.hset(f"rq:job:{stranger}", mapping={"data": raw, "origin": queue, "status": "queued"})
                await self.redis.rpush(f"rq:queue:{queue}", stranger)
            case "redisStreams":
                await self.redis.xadd(stream, {"data": raw, "colour": b"\xff\xfe"})
            case "kafka":
                producer = AIOKafkaProducer(bootstrap_servers=self.settings.kafka_broker)
                await producer.start()
                try:
                    await producer.send_and_wait(f"{self.settings.name_prefix}booking-events", raw, key=b"\xff")
                finally:
                    await producer.stop()

    async def leg(self, job_id: str) -> Leg:
        record = await self.ledger.get(job_id)
        assert record is not None
        return record.legs[self.backend]

    async def place(self, job_id: str) -> dict[str, Any]:
        """The broker's own; noted late where the first sending was in doubt and the outbox sent it again."""

        async def noted() -> dict[str, Any] | None:
            return (await self.leg(job_id)).receipt

        found: dict[str, Any] = await eventually(noted, "a place at the broker")
        return found

    async def reach(self, job_id: str, state: str) -> Leg:
        async def there() -> Leg | None:
            leg = await self.leg(job_id)
            return leg if leg.state == state else None

        leg: Leg = await eventually(there, f"{job_id} to be {state}")
        return leg

    async def deliver_outbox(self) -> None:
        """What the gateway's reconciler does."""
        for leg in await Outbox(self.ledger.scripts).due(self.backend):
            await self.publisher.publish([leg])

    async def idle(self) -> None:
        """Nothing waiting, delayed or in hand."""

        async def empty() -> bool:
            return bool((await self.publisher.stats())["backlog"] == 0)

        await eventually(empty, "the lane to be empty")


@asynccontextmanager
async def lane_of(kind: str, settings: Settings) -> AsyncIterator[Lane]:
    async with AsyncExitStack() as stack:
        lane = Lane(kind, settings, stack)
        await lane.open()
        try:
            yield lane
        finally:
            await lane.close()
