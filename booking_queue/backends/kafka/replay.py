"""Reading a part of the log again: to compare it with the ledger, or to run what never had an outcome.

One replay at a time, in a group of its own that commits nothing, so the workers' offsets stay as they are. How far it
is stands in Redis, where every replica of the service can tell it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from redis.asyncio.lock import Lock
from redis.exceptions import RedisError

from booking_queue import logs
from booking_queue.backends.envelope import Envelope
from booking_queue.backends.kafka.access import access
from booking_queue.backends.kafka.closing import closed
from booking_queue.backends.kafka.topics import Topics
from booking_queue.clock import iso, now_ms
from booking_queue.domain.errors import LedgerUnavailable, UnreadableMessage
from booking_queue.domain.job import Backend
from booking_queue.ledger.ledger import Ledger, dumps
from booking_queue.ledger.outbox import Outbox
from booking_queue.settings import Settings
from booking_queue.tasks import end

KEPT_SECONDS = 86_400
LOCK_SECONDS = 15  # a service that dies leaves the next replay to start after it
TOLD_SECONDS = 1.0
OPEN_SECONDS = 5.0
CLOSE_SECONDS = 2.0
READ_MS = 500
IDLE_READS = 20  # a partition that gives nothing for so many reads has no more to give

log = logs.get("kafka")


class ReplayBusy(Exception):
    """Another one is under way; its id is the message."""


@dataclass(frozen=True, slots=True)
class Span:
    """What to read. `start` and `stop` are offsets, or, with `by_time`, ms since 1970; `stop` is left out, and None
    for where the log ends now."""

    topic: str
    partition: int | None
    start: int
    stop: int | None
    by_time: bool
    run_missing: bool


@dataclass(slots=True)
class Progress:
    """`found` counts what was read by what the ledger says of it; `ran` was sent again. `lock`: so that it is alone."""

    id: str
    lock: Lock
    mode: str
    topic: str
    started: int
    status: str = "running"
    read: int = 0
    ran: int = 0
    skipped: int = 0
    to_read: int = 0
    found: Counter[str] = field(default_factory=Counter)
    error: str | None = None

    def shown(self) -> dict[str, Any]:
        return {
            "replayId": self.id,
            "status": self.status,
            "mode": self.mode,
            "topic": self.topic,
            "startedAt": iso(self.started),
            "toRead": self.to_read,
            "read": self.read,
            "ran": self.ran,
            "skipped": self.skipped,
            "found": dict(self.found),
            "error": self.error,
        }


class Replayer:
    def __init__(self, settings: Settings, topics: Topics, ledger: Ledger):
        self._settings = settings
        self._topics = topics
        self._ledger = ledger
        self._outbox = Outbox(ledger.scripts)
        self._redis = ledger.scripts.redis
        self._task: asyncio.Task[None] | None = None

    def _key(self, name: str) -> str:
        return f"{self._settings.key_prefix}:replay:{name}"

    async def start(self, span: Span) -> dict[str, Any]:
        """Raises ReplayBusy and LedgerUnavailable."""
        lock = Lock(self._redis, self._key("lock"), LOCK_SECONDS, blocking=False)
        progress = Progress(str(uuid4()), lock, "missing" if span.run_missing else "report", span.topic, now_ms())
        try:
            if not await lock.acquire(token=progress.id):
                holder = await self._redis.get(self._key("lock"))
                raise ReplayBusy(holder.decode() if isinstance(holder, bytes) else holder or "")
            await self._tell(progress)
        except (RedisError, OSError) as error:
            raise LedgerUnavailable(f"Redis does not answer: {error}") from error
        self._task = asyncio.create_task(self._run(span, progress))
        return progress.shown()

    async def find(self, replay_id: str) -> dict[str, Any] | None:
        """None, too, of what is no id of a replay: other keys begin as theirs do."""
        try:
            UUID(replay_id)
        except ValueError:
            return None
        try:
            stored = await self._redis.get(self._key(replay_id))
        except (RedisError, OSError) as error:
            raise LedgerUnavailable(f"Redis does not answer: {error}") from error
        return orjson.loads(stored) if stored else None

    async def close(self) -> None:
        if self._task:
            await end(self._task)

    async def _tell(self, progress: Progress) -> None:
        await self._redis.set(self._key(progress.id), dumps(progress.shown()), ex=KEPT_SECONDS)
        await progress.lock.reacquire()

    async def _run(self, span: Span, progress: Progress) -> None:
        telling = asyncio.create_task(self._keep_telling(progress))
        try:
            await self._read(span, progress)
            progress.status = "done"
        except Exception as error:
            if not isinstance(error, KafkaError | OSError | TimeoutError | LedgerUnavailable):
                log.error("replay_failed", exc=error)
            progress.status, progress.error = "failed", f"{type(error).__name__}: {error}"[:300]
        except asyncio.CancelledError:
            progress.status, progress.error = "failed", "the service was stopped"
        finally:
            await end(telling)
            await asyncio.shield(self._conclude(progress))

    async def _keep_telling(self, progress: Progress) -> None:
        while True:
            await asyncio.sleep(TOLD_SECONDS)
            try:
                await self._tell(progress)
            except (RedisError, OSError) as error:
                log.warning("replay_not_told", why=str(error))

    async def _conclude(self, progress: Progress) -> None:
        log.event("replay_ended", **progress.shown())
        try:
            await self._tell(progress)
            await progress.lock.release()
        except (RedisError, OSError) as error:
            log.warning("replay_not_told", why=str(error))

    async def _read(self, span: Span, progress: Progress) -> None:
        reader: Any = AIOKafkaConsumer(
            **access(self._settings),
            group_id=f"{self._topics.group}-replay-{progress.id}",
            enable_auto_commit=False,
            request_timeout_ms=9000,
        )
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await reader.start()
                unread = await _place(reader, span)
            progress.to_read = sum(stop - start for start, stop in unread.values())
            await self._read_all(reader, {tp: stop for tp, (_, stop) in unread.items()}, span, progress)
        finally:
            await closed(reader.stop(), CLOSE_SECONDS)

    async def _read_all(self, reader: Any, unread: dict[TopicPartition, int], span: Span, progress: Progress) -> None:
        nothing = 0
        while unread and nothing < IDLE_READS:
            batches = await reader.getmany(*unread, timeout_ms=READ_MS)
            nothing = 0 if batches else nothing + 1
            for tp, records in batches.items():
                wanted = [record for record in records if record.offset < unread[tp]]
                await asyncio.gather(*(self._look_at(record, span, progress) for record in wanted))
            unread = {tp: stop for tp, stop in unread.items() if await reader.position(tp) < stop}

    async def _look_at(self, record: Any, span: Span, progress: Progress) -> None:
        progress.read += 1
        try:
            job_id = Envelope.load(record.value or b"").id
        except UnreadableMessage:
            progress.found["unreadable"] += 1
            progress.skipped += 1
            return
        known = await self._ledger.get(job_id)
        leg = known.legs.get(Backend.KAFKA) if known else None
        progress.found[leg.state.value if leg else "expired"] += 1
        if span.run_missing and leg and not leg.state.terminal and await self._outbox.resend(job_id, Backend.KAFKA):
            progress.ran += 1
        else:
            progress.skipped += 1


async def _place(reader: Any, span: Span) -> dict[TopicPartition, tuple[int, int]]:
    """From where to where to read each partition; the reader stands at the start of each."""
    numbers = reader.partitions_for_topic(span.topic) or await _partitions(reader, span.topic)
    tps = [TopicPartition(span.topic, number) for number in sorted(numbers) if span.partition in (None, number)]
    reader.assign(tps)
    begins, ends = await reader.beginning_offsets(tps), await reader.end_offsets(tps)
    starts = await _offsets(reader, tps, span.start, span.by_time, ends)
    stops = await _offsets(reader, tps, span.stop, span.by_time, ends)
    unread: dict[TopicPartition, tuple[int, int]] = {}
    for tp in tps:
        start, stop = max(begins[tp], starts[tp]), min(ends[tp], stops[tp])
        if start < stop:
            unread[tp] = (start, stop)
            reader.seek(tp, start)
        else:
            reader.pause(tp)
    return unread


async def _partitions(reader: Any, topic: str) -> set[int]:
    await reader._client.force_metadata_update()  # the reader has subscribed to nothing
    return set((await reader._client.fetch_all_metadata()).partitions_for_topic(topic) or ())


async def _offsets(
    reader: Any, tps: list[TopicPartition], at: int | None, by_time: bool, ends: dict[TopicPartition, int]
) -> dict[TopicPartition, int]:
    if at is None:
        return ends
    if not by_time:
        return dict.fromkeys(tps, at)
    found = await reader.offsets_for_times(dict.fromkeys(tps, at))
    return {tp: found[tp].offset if found.get(tp) else ends[tp] for tp in tps}
