"""What the Lua answers, as the dicts that people read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from booking_queue.backends.stream.delivery import Entry
from booking_queue.backends.stream.names import Names
from booking_queue.clock import iso
from booking_queue.domain.job import Priority
from booking_queue.ledger.script import Answer


def _rows(flat: Sequence[Any], width: int) -> Iterator[Sequence[Any]]:
    return (flat[i : i + width] for i in range(0, len(flat), width))


def _text(value: bytes | int | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _loaded(raw: bytes | None) -> Any:
    """JSON where it is JSON; what somebody else wrote is shown as it is."""
    try:
        return orjson.loads(raw or b"null")
    except orjson.JSONDecodeError:
        return _text(raw or b"")


def _data(entry: Entry) -> Any:
    """Where a list cut it, its beginning and its size."""
    size = entry.text("bytes")
    return {"raw": entry.text("data"), "bytes": int(size)} if size else _loaded(entry.fields.get(b"data"))


def _order(stream_id: str) -> tuple[int, int]:
    ms, _, sequence = stream_id.partition("-")
    return int(ms), int(sequence)


def place(answer: Answer) -> dict[str, Any]:
    receipt, due, letter, there, consumer, idle, deliveries = answer
    return {
        **orjson.loads(receipt),
        "onStream": bool(there),
        "dueAt": iso(int(due)) if due else None,
        "deadLetterId": _text(letter) if letter else None,
        "consumer": _text(consumer) if consumer else None,
        "idleMs": idle,
        "deliveries": deliveries,
    }


def messages(answer: Answer, count: int) -> list[dict[str, Any]]:
    entries = [Entry.of((stream, *raw)) for stream, raw in _rows(answer, 2)]
    entries.sort(key=lambda entry: _order(entry.id), reverse=True)
    return [
        {
            "streamId": entry.id,
            "stream": entry.stream,
            "type": entry.text("type"),
            "messageId": entry.text("messageId"),
            "data": _data(entry),
        }
        for entry in entries[:count]
    ]


def letters(answer: Answer) -> list[dict[str, Any]]:
    found = []
    for raw in answer:
        entry = Entry.of((b"", *raw))
        failed = entry.text("failedAt")
        found.append(
            {
                "deadLetterId": entry.id,
                "originalMessageId": entry.text("originalMessageId"),
                "originalStream": entry.text("originalStream"),
                "originalStreamId": entry.text("originalStreamId"),
                "type": entry.text("type"),
                "error": entry.text("error"),
                "failedAt": iso(int(failed)) if failed.isdigit() else failed,
                "data": _data(entry),
            }
        )
    return found


def stats(names: Names, answer: Answer) -> dict[str, Any]:
    dead, due, scheduled, late, vanished, recreated, *rows = answer
    levels = {
        level.name.lower(): {
            "stream": _text(stream),
            "totalMessages": length,
            "pendingMessages": pending,
            "lag": lag,
            "consumers": consumers,
            "oldestAgeSeconds": age / 1000,
        }
        for level, (stream, length, pending, lag, consumers, age) in zip(Priority, rows, strict=True)
    }
    total = {key: sum(row[key] for row in levels.values()) for key in ("totalMessages", "pendingMessages", "lag")}
    return {
        "stream": names.stream,
        "stats": {
            "totalMessages": total["totalMessages"],
            "pendingMessages": total["pendingMessages"],
            "dlqMessages": dead,
        },
        "lag": total["lag"],
        "due": due,
        "backlog": total["lag"] + total["pendingMessages"] + due,
        "scheduled": scheduled,
        "consumers": max(row["consumers"] for row in levels.values()),
        "oldestAgeSeconds": max(late / 1000, *(row["oldestAgeSeconds"] for row in levels.values())),
        "group": names.group,
        "alarms": {"pendingEntriesDeleted": int(vanished), "groupsRecreated": int(recreated)},
        "levels": levels,
    }


def pending(answer: Answer) -> list[list[Any]]:
    return [[_text(row[0]), _text(row[1]), row[2], row[3]] for _, row in _rows(answer, 2)]


def consumers(answer: Answer) -> list[dict[str, Any]]:
    """One entry a name, over all levels: `idleMs` since it was last heard of on any."""
    found: dict[str, dict[str, Any]] = {}
    for stream, name, waiting, idle in _rows(answer, 4):
        entry = found.setdefault(_text(name), {"name": _text(name), "pending": 0, "idleMs": idle, "streams": []})
        entry["pending"] += waiting
        entry["idleMs"] = min(entry["idleMs"], idle)
        entry["streams"].append(_text(stream))
    return sorted(found.values(), key=lambda entry: str(entry["name"]))


def groups(answer: Answer) -> list[dict[str, Any]]:
    """One entry a name, over all levels."""
    found: dict[str, dict[str, Any]] = {}
    for stream, name, members, waiting, lag, last in _rows(answer, 6):
        blank: dict[str, Any] = {"name": _text(name), "consumers": 0, "pending": 0, "lag": 0, "streams": []}
        entry = found.setdefault(_text(name), blank)
        entry["consumers"] = max(entry["consumers"], members)
        entry["pending"] += waiting
        entry["lag"] += lag
        entry["streams"].append({"stream": _text(stream), "lastDeliveredId": _text(last)})
    return sorted(found.values(), key=lambda entry: str(entry["name"]))
