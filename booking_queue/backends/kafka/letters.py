"""Dead letters: how they are written, and how the newest are read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from booking_queue.backends.envelope import Envelope
from booking_queue.backends.kafka.access import access
from booking_queue.backends.kafka.closing import closed
from booking_queue.backends.kafka.topics import Topics
from booking_queue.clock import iso
from booking_queue.domain.errors import BackendUnavailable, UnreadableMessage, bounded
from booking_queue.settings import Settings

READ_SECONDS = 3.0
CLOSE_SECONDS = 2.0
# All three are less than MAX_LETTER_BYTES: a stranger's message may have travelled compressed, and be any size.
VALUE_BYTES = 1024 * 1024 + 512 * 1024
KEY_BYTES = 64 * 1024
HEADER_BYTES = 64 * 1024
SHOWN_BYTES = 1000
READ_BYTES = 128 * 1024
LISTED_BYTES = 2048  # of a larger one only the beginning is shown: a list of letters has to fit into memory

Headers = list[tuple[str, bytes]]
OWN_HEADERS = ("original-topic", "original-partition", "original-offset", "error", "failed-at")


@dataclass(frozen=True, slots=True)
class Origin:
    """The message that failed, where it first stood: a retry topic is not where it came from."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]

    @classmethod
    def of(cls, record: Any, topics: Topics) -> Origin:
        known = {name: value or b"" for name, value in record.headers}
        place = (record.topic, record.partition, record.offset)
        if topics.kind(record.topic) == "retry":
            with suppress(KeyError, ValueError):
                numbers = int(known["original-partition"]), int(known["original-offset"])
                place = (known["original-topic"].decode(errors="replace"), *numbers)
        return cls(*place, record.key, record.value, record.headers)

    def place(self) -> Headers:
        return [
            ("original-topic", self.topic.encode()),
            ("original-partition", str(self.partition).encode()),
            ("original-offset", str(self.offset).encode()),
        ]


def letter_headers(origin: Origin, reason: str, failed_at: int) -> Headers:
    return [
        *_kept(origin.headers),
        *origin.place(),
        ("error", bounded(reason).encode(errors="replace")),
        ("failed-at", (iso(failed_at) or "").encode()),
    ]


def _kept(headers: Sequence[tuple[str, bytes]]) -> Headers:
    """As many of the message's own as there is room for."""
    kept, room = [], HEADER_BYTES
    for name, value in headers:
        room -= len(name.encode()) + len(value or b"")
        if room < 0:
            break
        if name not in OWN_HEADERS:
            kept.append((name, value))
    return kept


async def newest(settings: Settings, topics: Topics, ends: dict[int, int], count: int) -> list[dict[str, Any]]:
    """The last `count` letters of the partitions that end at `ends`. Reads no more than that of each."""
    starts = {
        TopicPartition(topics.dead, partition): (max(0, end - count), end) for partition, end in ends.items() if end
    }
    if not starts:
        return []
    reader = AIOKafkaConsumer(**access(settings), request_timeout_ms=5000)
    try:
        async with asyncio.timeout(READ_SECONDS):
            await reader.start()
            views = await _read(reader, starts)
    except (KafkaError, OSError, TimeoutError) as error:
        raise BackendUnavailable(f"Kafka does not answer: {type(error).__name__} {error}"[:300]) from error
    finally:
        await closed(reader.stop(), CLOSE_SECONDS)
    views.sort(key=lambda view: (view["timestamp"], view["offset"]), reverse=True)
    return _once(views)[:count]


def _once(views: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A letter whose confirmation was lost has been sent twice."""
    known = {(view["messageId"], view.get("generation")): view for view in reversed(views) if "generation" in view}
    return [view for view in views if view is known.get((view["messageId"], view.get("generation")), view)]


async def _read(reader: Any, starts: dict[TopicPartition, tuple[int, int]]) -> list[dict[str, Any]]:
    reader.assign(list(starts))
    oldest = await reader.beginning_offsets(list(starts))
    unread = {}
    for tp, (start, end) in starts.items():
        if max(start, oldest[tp]) < end:
            unread[tp] = end
            reader.seek(tp, max(start, oldest[tp]))
        else:
            reader.pause(tp)
    views: list[dict[str, Any]] = []
    while unread:
        for batch in (await reader.getmany(*unread, timeout_ms=200)).values():
            views += [_view(record) for record in batch]
        unread = {tp: end for tp, end in unread.items() if await reader.position(tp) < end}
    return views


def _view(record: Any) -> dict[str, Any]:
    headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    view: dict[str, Any] = {
        "messageId": headers.get("messageId"),
        "type": headers.get("type"),
        "key": record.key.decode(errors="replace") if record.key else None,
        "error": headers.get("error"),
        "failedAt": headers.get("failed-at"),
        "originalTopic": headers.get("original-topic"),
        "originalPartition": _number(headers.get("original-partition")),
        "originalOffset": _number(headers.get("original-offset")),
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
    }
    raw = record.value or b""
    try:
        envelope = Envelope.load(raw) if len(raw) <= READ_BYTES else None
    except UnreadableMessage:
        envelope = None
    if envelope and len(raw) <= LISTED_BYTES:
        view["data"] = envelope.data
    else:
        view |= {"data": None, "value": raw[:SHOWN_BYTES].decode(errors="replace"), "bytes": len(raw)}
    if envelope is None:
        return view
    return view | {
        "messageId": envelope.id,
        "type": envelope.type,
        "generation": envelope.generation,
        "attempt": envelope.attempt,
    }


def _number(value: str | None) -> int | None:
    try:
        return int(orjson.loads(value)) if value is not None else None
    except (orjson.JSONDecodeError, TypeError, ValueError):
        return None
