"""An idempotent producer that is replaced when it stops making progress.

With idempotence on, aiokafka repeats a request for ever and in order: while Kafka is away every send hangs, and after
a batch failed its partition may refuse all that follow. So each send has a deadline, and a producer that got nothing
through is given up. What it held may still arrive, or not: the outbox sends it again, and the ledger folds copies.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from booking_queue import logs
from booking_queue.backends.kafka.access import access
from booking_queue.backends.kafka.closing import closed
from booking_queue.backends.kafka.topics import MAX_LETTER_BYTES
from booking_queue.domain.errors import BackendUnavailable
from booking_queue.settings import Settings
from booking_queue.tasks import end

SEND_SECONDS = 0.8  # a publisher's answer has to reach the gateway within its own deadline
STUCK_SECONDS = 3.0  # a send that waits so much longer, while Kafka answers, waits for ever
START_SECONDS = 3.0
STOP_SECONDS = 2.0
PROBE_SECONDS = 5.0
ANSWER_SECONDS = 1.0
AGAIN_SECONDS = 1.0
REQUEST_MS = 5000

Headers = Sequence[tuple[str, bytes]]

log = logs.get("kafka")


@dataclass(frozen=True, slots=True)
class Sent:
    """Where the broker put it. `offset` is None where it had the message already and does not know the place."""

    topic: str
    partition: int
    offset: int | None
    timestamp: int


Late = Callable[[Sent], None]


class Sender:
    """`prepare` runs each time Kafka is found, before the first send."""

    def __init__(self, settings: Settings, client_id: str, prepare: Callable[[], Awaitable[None]] | None = None):
        self._access = access(settings)
        self._client_id = client_id
        self._prepare = prepare
        self._producer: Any = None
        self._looked = asyncio.Event()  # the first attempt to reach Kafka is over
        self._broken = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._examining: asyncio.Task[None] | None = None
        self._discarding: set[asyncio.Task[None]] = set()
        self.rebuilt = 0

    @property
    def up(self) -> bool:
        return self._producer is not None

    def open(self) -> None:
        """Begins to look for Kafka, and goes on for as long as it takes."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    async def looked(self, seconds: float) -> None:
        """Waits until Kafka was found, or not found, but no longer than that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._looked.wait()

    async def close(self) -> None:
        await end(*(task for task in (self._keeper, self._examining) if task))
        self._keeper = None
        producer, self._producer = self._producer, None
        if producer:
            self._discard_later(producer)
        if self._discarding:
            await asyncio.wait(self._discarding)

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, late: Late | None = None
    ) -> Sent:
        """Raises BackendUnavailable when Kafka did not confirm it in time: it may arrive all the same. `late` is
        called should the confirmation come after all."""
        future: asyncio.Future[Any] | None = None
        producer = None
        try:
            async with asyncio.timeout(SEND_SECONDS):
                producer = await self._ready()
                future = await producer.send(topic, value, key, headers=list(headers))
                return _sent(await asyncio.shield(future))
        except TimeoutError as error:
            self._late(producer, future, late)
            raise BackendUnavailable("Kafka did not confirm the message in time") from error
        except (KafkaError, OSError) as error:
            self._give_up(producer, f"{type(error).__name__}: {error}")
            raise BackendUnavailable(f"Kafka refused the message: {type(error).__name__} {error}"[:300]) from error

    async def _ready(self) -> Any:
        await self._looked.wait()
        if self._producer is None:
            raise BackendUnavailable("Kafka is away")
        return self._producer

    def _late(self, producer: Any, future: asyncio.Future[Any] | None, late: Late | None) -> None:
        if future is not None:
            future.add_done_callback(partial(_come, late))
        if producer is not None and self._examining is None:
            self._examining = asyncio.create_task(self._examine(producer, future))
            self._examining.add_done_callback(self._examined)

    def _examined(self, _: asyncio.Task[None]) -> None:
        self._examining = None

    async def _examine(self, producer: Any, future: asyncio.Future[Any] | None) -> None:
        """Slow, or of no more use? Without a future the message was not even taken: its topic is not there."""
        if not await _answers(producer):
            self._give_up(producer, "Kafka does not answer")
        elif future is None:
            self._give_up(producer, "it takes no message")
        else:
            await asyncio.wait({future}, timeout=STUCK_SECONDS)
            if not future.done():
                self._give_up(producer, "a message is stuck")

    def _give_up(self, producer: Any, why: str) -> None:
        if producer is not None and producer is self._producer and not self._broken.is_set():
            log.warning("kafka_producer_given_up", clientId=self._client_id, why=why)
            self._looked.clear()
            self._broken.set()
            self._producer = None
            self.rebuilt += 1
            self._discard_later(producer)

    def _discard_later(self, producer: Any) -> None:
        task = asyncio.create_task(_discard(producer))
        self._discarding.add(task)
        task.add_done_callback(self._discarding.discard)

    async def _keep(self) -> None:
        away = False
        while True:
            try:
                if self._prepare:
                    await self._prepare()
                producer = await self._started()
            except Exception as error:
                if not away:
                    why = f"{type(error).__name__}: {error}"[:300]
                    log.warning("kafka_away", clientId=self._client_id, why=why)
                away = True
                self._looked.set()
                await asyncio.sleep(AGAIN_SECONDS * (0.5 + random.random()))
                continue
            if away:
                log.event("kafka_back", clientId=self._client_id)
            away = False
            self._broken.clear()
            self._producer = producer
            self._looked.set()
            await self._watch(producer)

    async def _started(self) -> Any:
        producer = self._new_producer()
        try:
            async with asyncio.timeout(START_SECONDS):
                await producer.start()
        except BaseException:
            self._discard_later(producer)
            raise
        return producer

    async def _watch(self, producer: Any) -> None:
        """Returns when this producer was given up. Looks after Kafka even when nobody sends."""
        while not self._broken.is_set():
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    await self._broken.wait()
            except TimeoutError:
                if not await _answers(producer):
                    self._give_up(producer, "Kafka does not answer")

    def _new_producer(self) -> Any:
        return AIOKafkaProducer(
            **self._access,
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=REQUEST_MS,
            metadata_max_age_ms=5000,
            max_request_size=MAX_LETTER_BYTES,
            max_batch_size=128 * 1024,
            retry_backoff_ms=50,
        )


async def _answers(producer: Any) -> bool:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return bool(await producer.client.force_metadata_update())
    except (KafkaError, OSError, TimeoutError):
        return False


def _come(late: Late | None, future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and not future.exception() and late:
        late(_sent(future.result()))


def _sent(answer: Any) -> Sent:
    return Sent(answer.topic, answer.partition, answer.offset if answer.offset >= 0 else None, answer.timestamp)


async def _discard(producer: Any) -> None:
    """Its own stop() first waits, without a limit, for all that it still has to send. Nobody waits for that here."""
    producer._closed = True
    client, task = producer.client, producer._sender.sender_task
    if task is not None:
        task.cancel()
    await closed(client.close(), STOP_SECONDS)
    while task is not None and not task.done():
        waiter = client._md_update_fut  # nobody is left to bring what its last requests wait for
        if waiter is not None and not waiter.done():
            waiter.set_result(False)
        await asyncio.wait({task}, timeout=0.05)
