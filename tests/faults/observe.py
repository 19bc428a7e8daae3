"""Reads what is left after a trial: from Redis, from Kafka, from the providers' own database. Changes nothing."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from booking_queue.backends.kafka.cluster import Cluster
from booking_queue.backends.kafka.topics import Topics
from booking_queue.backends.stream.names import Names
from booking_queue.domain.errors import BackendUnavailable
from booking_queue.ledger.record import BookingState, Record, parse
from booking_queue.settings import Settings
from tests.faults.history import End, Event, Night, Quiet
from tests.faults.load import BACKENDS

LOOK_SECONDS = 0.25
LOOKED_AT = 1000  # entries of each at one look
LEVELS = ("", "-critical", "-high", "-low")
FOR_GOOD = frozenset(
    [
        "events",
        "limits",
        "limits:default",
        "sequence",
        "holds",
        "compensations",
        "untold",
        "counters",
        "epoch",
        "workers",
        "keys",
        "stream:due",
        "stream:wake",
        "stream:ids",
        "stream:seq",
        "limited",
    ]
)
OF_THE_DEAD = re.compile(r":index:(?:tenant:[^:]+:)?dead:(\w+)$")
FOR_GOOD_EACH = ("outbox:", "open:")
OF_LINES = ("turns", "limited")
OF_RQ = ("rq:queue", "rq:workers", "rq:wip:", "rq:scheduled:", "rq:finished:", "rq:failed:", "rq:canceled:")


@dataclass(frozen=True)
class Money:
    """Charges and refunds by key, raw calls by kind, the bookings in the order of their first charge, and how many
    confirmations of each were delivered, a Message-ID counted once."""

    charges: Counter[str] = field(default_factory=Counter)
    refunds: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    order: dict[str, None] = field(default_factory=dict)
    mails: Counter[str] = field(default_factory=Counter)


class Observer:
    def __init__(self, settings: Settings, providers_db: Callable[[], Path], *, kafka: bool):
        self.redis: Any = Redis(  # its answers are bytes, which its types cannot tell
            host=settings.redis_host, port=settings.redis_port, password=settings.redis_password, socket_timeout=20
        )
        self._settings = settings
        self._prefix = settings.key_prefix
        self._names = Names(settings)
        self._queues = {level: f"{settings.name_prefix}booking-queue{level}" for level in LEVELS}
        self._topics = Topics(settings)
        self._cluster = Cluster(settings, self._topics, "observer") if kafka else None
        self._providers_db = providers_db

    async def close(self) -> None:
        await self.redis.aclose()
        if self._cluster:
            await self._cluster.close()

    # What is still to be done

    async def left(self) -> dict[str, int]:
        """How much of what is not done, by where it is; empty when nothing is left."""
        pipe = self.redis.pipeline(transaction=False)
        names = []
        for backend in BACKENDS:
            for what in ("open", "outbox"):
                names.append(f"{backend} {what}")
                pipe.zcard(f"{self._prefix}:{what}:{backend}")
        for what in ("compensations", "untold", "holds", "stream:due"):
            names.append(what)
            pipe.zcard(f"{self._prefix}:{what}")
        for level, queue in self._queues.items():
            names += [f"rq {what}{level}" for what in ("queue", "started", "scheduled")]
            pipe.llen(f"rq:queue:{queue}")
            pipe.zcard(f"rq:wip:{queue}")
            pipe.zcard(f"rq:scheduled:{queue}")
        counts = dict(zip(names, await pipe.execute(), strict=True))
        counts |= await self._streams_left()
        found = {name: int(number) for name, number in counts.items() if number}
        return found or await self._kafka_left()

    async def _streams_left(self) -> dict[str, int]:
        counts = {}
        for stream in self._names.levels:
            try:
                groups = await self.redis.xinfo_groups(stream)
            except ResponseError:
                continue
            counts[f"{stream} pending"] = sum(group["pending"] for group in groups)
            counts[f"{stream} lag"] = sum(1 if group["lag"] is None else group["lag"] for group in groups)
        return counts

    async def _kafka_left(self) -> dict[str, int]:
        if not self._cluster:
            return {}
        try:
            lag = sum(view.lag for view in await self._cluster.partitions(self._topics.consumed))
        except BackendUnavailable:
            return {"kafka does not answer": 1}
        return {"kafka lag": lag} if lag else {}

    async def quiet(self, since: float, patience: float) -> Quiet:
        """Waits until nothing is left, `patience` seconds at most. `since` is by time.monotonic()."""
        while True:
            try:
                left = await self.left()
            except (RedisError, OSError):
                left = {"redis does not answer": 1}
            after = time.monotonic() - since
            if not left:
                return Quiet(after, {}, await self._ownerless())
            if after > patience:
                return Quiet(None, left, await self._ownerless())
            await asyncio.sleep(LOOK_SECONDS)

    async def _ownerless(self) -> list[str]:
        """Keys that would stay for ever: each must have an end, stand in somebody's set, be an unfinished job's or a
        line of such, or one of the few that are for good, however many jobs there were."""
        try:
            every = [key async for key in self.redis.scan_iter(count=1000)]
        except (RedisError, OSError):
            return []  # which is told as what is left
        unfinished = set(await self._zsets("open"))
        ends = await self._pipelined("pttl", every)
        shards = set(await self.redis.zrange(f"{self._prefix}:stream:ids", 0, -1))
        stay = [
            key.decode(errors="replace")
            for key, ttl in zip(every, ends, strict=True)
            if ttl == -1
            and key not in shards
            and unfinished.isdisjoint(key.split(b":"))
            and not self._for_good(key.decode(errors="replace"))
        ]
        lists = [key for key in stay if key.startswith(f"{self._prefix}:index:")]
        lines = [key for key in stay if key.startswith(tuple(f"{self._prefix}:{line}:" for line in OF_LINES))]
        members = await self._pipelined("zrange", lines, 0, -1)
        owned = {line for line, jobs in zip(lines, members, strict=True) if not unfinished.isdisjoint(jobs)} | {*lists}
        return [key for key in stay if key not in owned] + await self.listed_in_vain(lists)

    async def listed_in_vain(self, lists: Sequence[str]) -> list[str]:
        """Of lists of jobs, which stay: whoever stands in one must have a record, and be dead in that of the dead."""
        members = await self._pipelined("zrange", lists, 0, -1)
        places = [(name, job.decode()) for name, jobs in zip(lists, members, strict=True) for job in jobs]
        jobs = list(dict.fromkeys(job for _, job in places))
        fields = ["type", *(f"{backend}.state" for backend in BACKENDS)]
        records = await self._pipelined("hmget", [f"{self._prefix}:job:{job}" for job in jobs], fields)
        known = {job: dict(zip(fields, record, strict=True)) for job, record in zip(jobs, records, strict=True)}
        found = []
        for name, job in places:
            dead = OF_THE_DEAD.search(name)
            there = known[job][f"{dead[1]}.state"] == b"dead" if dead else known[job]["type"]
            if not there:
                found.append(f"{name} {job}")
        return found

    async def _zsets(self, name: str) -> list[bytes]:
        """The members of this set of each backend."""
        return [job for each in BACKENDS for job in await self.redis.zrange(f"{self._prefix}:{name}:{each}", 0, -1)]

    def _for_good(self, key: str) -> bool:
        name = key.removeprefix(f"{self._prefix}:")
        if name == key:
            return key.startswith((f"{self._settings.name_prefix}booking-stream", *OF_RQ))
        return name in FOR_GOOD or name.startswith(FOR_GOOD_EACH)

    # How it ended

    async def records(self, wanted: Callable[[Record], bool]) -> list[Record]:
        keys = [key async for key in self.redis.scan_iter(f"{self._prefix}:job:*", count=1000)]
        found = []
        for key, fields in zip(keys, await self._pipelined("hgetall", keys), strict=True):
            flat = [part for pair in fields.items() for part in pair]
            record = parse(key.decode().rsplit(":", 1)[-1], flat)
            if record and wanted(record):
                found.append(record)
        return found

    async def audits(self, jobs: Sequence[str]) -> dict[str, list[Event]]:
        found = await self._pipelined("lrange", [f"{self._prefix}:audit:{job}" for job in jobs], 0, -1)
        return {job: [_event(line) for line in lines] for job, lines in zip(jobs, found, strict=True)}

    async def nights(self, hotel: str, default_total: int) -> list[Night]:
        found = []
        async for key in self.redis.scan_iter(f"{self._prefix}:rooms:{hotel}:*", count=1000):
            total, taken, sold = await self.redis.hmget(key, ["total", "taken", "sold"])
            found.append(Night(key.decode(), int(total or default_total), int(taken or 0), int(sold or 0)))
        return found

    async def copies(self) -> Counter[str]:
        """Messages on the streams, by job and generation. RQ's lists keep none: `watch` looks at them meanwhile. On
        Kafka two are no fault: where the confirmation of one is lost, the outbox sends it again, and the claim folds
        them."""
        found: Counter[str] = Counter()
        for stream in self._names.levels:
            for _, fields in await self.redis.xrange(stream):
                job, generation = fields.get(b"messageId", b"?"), fields.get(b"generation", b"?")
                found[f"redisStreams {job.decode(errors='replace')} {generation.decode(errors='replace')}"] += 1
        return found

    async def _pipelined(self, command: str, keys: Sequence[Any], *more: Any) -> list[Any]:
        answers: list[Any] = []
        for start in range(0, len(keys), 500):
            pipe = self.redis.pipeline(transaction=False)
            for key in keys[start : start + 500]:
                getattr(pipe, command)(key, *more)
            answers += await pipe.execute()
        return answers

    def money(self, bookings: Sequence[str]) -> Money:
        """What was asked of the outside for these bookings."""
        wanted = set(bookings)
        found = Money()
        with closing(sqlite3.connect(f"file:{self._providers_db()}?mode=ro", uri=True)) as db:
            for key, refunded in db.execute("SELECT key, refunded_at FROM charges"):
                if key.partition(":")[0] in wanted:
                    found.charges[key] += 1
                    found.refunds[key] += refunded is not None
            for kind, key in db.execute("SELECT kind, key FROM calls ORDER BY seq"):
                booking = key.strip("<").replace(".", ":").partition(":")[0]
                if booking in wanted:
                    found.calls[kind] += 1
                    if kind == "charge":
                        found.order.setdefault(booking)
            delivered = "SELECT DISTINCT key FROM calls WHERE kind = 'mail' AND outcome = 'delivered'"
            for (message_id,) in db.execute(delivered):
                booking, kind = message_id.strip("<").partition("@")[0].split(".")[:2]
                if booking in wanted and kind == "mail":
                    found.mails[booking] += 1
        return found

    async def watch(self, owners: dict[str, list[str]], copies: Counter[str]) -> None:
        """Until cancelled: adds who holds which entry of the streams, whenever that changes, and how often a job stands
        in RQ's queues at one moment."""
        while True:
            await self._look_at_queues(copies)
            for stream in self._names.levels:
                rows: list[dict[str, Any]] = []
                try:
                    rows = await self.redis.xpending_range(stream, self._names.group, "-", "+", LOOKED_AT)
                except (RedisError, OSError):
                    continue
                for row in rows:
                    seen = owners.setdefault(f"{stream} {row['message_id'].decode()}", [])
                    owner = row["consumer"].decode()
                    if not seen or seen[-1] != owner:
                        seen.append(owner)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look_at_queues(self, copies: Counter[str]) -> None:
        with suppress(RedisError, OSError):
            for queue in self._queues.values():
                for job, number in Counter(await self.redis.lrange(f"rq:queue:{queue}", 0, LOOKED_AT - 1)).items():
                    key = f"rq {job.decode(errors='replace')} at one moment"
                    copies[key] = max(number, copies[key])


def ends_of(records: Sequence[Record]) -> list[End]:
    return [
        End(
            record.id,
            record.data["userId"],
            leg.backend.value,
            leg.state.value,
            record.booking_state is BookingState.CONFIRMED,
            leg.error or "",
            record.booking_state is BookingState.CANCELLED,
        )
        for record in records
        for leg in record.legs.values()
    ]


def _event(line: bytes) -> Event:
    told: Mapping[str, Any] = orjson.loads(line.split(b" ", 1)[1])
    return Event(told["at"], told["event"], told.get("backend") or "", told.get("worker") or "")
