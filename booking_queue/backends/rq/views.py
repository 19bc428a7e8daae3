"""RQ's records as people and pages see them. Nothing is imported, unpickled or trusted on the way."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

import orjson

from booking_queue.backends.envelope import MAX_DEPTH, deeper
from booking_queue.backends.rq.payload import asked, plain
from booking_queue.clock import iso
from booking_queue.domain.errors import UnreadableMessage
from booking_queue.domain.job import Priority
from booking_queue.ledger.ledger import RAW_BYTES

LISTED_BYTES = 2048  # as in views.lua

COUNTS = ("waiting", "active", "completed", "failed", "delayed")

Fields = dict[str, bytes]


def fields_of(flat: list[bytes]) -> Fields:
    return {flat[i].decode(errors="replace"): flat[i + 1] for i in range(0, len(flat), 2)}


def text(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    return value.decode(errors="replace") if value else None


def moment(stamp: str | None) -> int | None:
    """Milliseconds since 1970 of RQ's text."""
    if not stamp:
        return None
    try:
        return int(datetime.fromisoformat(stamp).timestamp() * 1000)
    except ValueError:
        return None


def call_of(fields: Fields, types: frozenset[str]) -> tuple[str, Any]:
    """Job type and data; for what nobody here can run, what can be shown of it."""
    stored = fields.get("data", b"")
    name, data = _call(stored, fields, types)
    if deeper(data, MAX_DEPTH):  # no answer that holds it could be written
        return name, {"raw": plain(stored)[:RAW_BYTES].decode(errors="replace")}
    return name, data


def _call(stored: bytes, fields: Fields, types: frozenset[str]) -> tuple[str, Any]:
    try:
        return asked(stored, types)
    except UnreadableMessage:
        pass
    try:
        call = orjson.loads(plain(stored))
        return str(call[0]), {"args": call[2], "kwargs": call[3]}
    except (UnreadableMessage, orjson.JSONDecodeError, LookupError, TypeError):
        return text(fields, "description") or "unreadable", {}


def _brief_call(fields: Fields, types: frozenset[str]) -> tuple[str, Any]:
    """For a list, which has to fit into memory: of large data the beginning and the size."""
    stored = fields.get("data", b"")
    try:
        whole = plain(stored)
    except UnreadableMessage:
        whole = stored
    size = int(fields.get("bytes", b"0")) or len(whole)
    if size <= LISTED_BYTES:
        return call_of(fields, types)
    return text(fields, "description") or "unreadable", {
        "raw": whole[:LISTED_BYTES].decode(errors="replace"),
        "bytes": size,
    }


def record(job_id: str, fields: Fields, types: frozenset[str]) -> dict[str, Any]:
    """All that RQ keeps of a job."""
    name, data = call_of(fields, types)
    meta: Any = None
    with suppress(orjson.JSONDecodeError):
        meta = orjson.loads(fields.get("meta") or b"null")
    times = {
        "createdAt": "created_at",
        "enqueuedAt": "enqueued_at",
        "startedAt": "started_at",
        "endedAt": "ended_at",
        "lastHeartbeat": "last_heartbeat",
    }
    return {
        "jobId": job_id,
        "queue": text(fields, "origin"),
        "status": text(fields, "status"),
        "type": name,
        "data": data,
        "worker": text(fields, "worker_name"),
        "error": error_of(fields),
        "meta": meta,
        "timestamp": moment(text(fields, "created_at")),
        **{ours: iso(moment(text(fields, theirs))) for ours, theirs in times.items()},
    }


def error_of(fields: Fields, most: int | None = None) -> str | None:
    """RQ's own worker compresses it, we do not."""
    stored = fields.get("exc_info")
    if not stored:
        return None
    try:
        return plain(stored)[:most].decode(errors="replace")
    except UnreadableMessage:
        return None


def letter(job_id: str, fields: Fields, error: str, types: frozenset[str]) -> dict[str, Any]:
    name, data = _brief_call(fields, types)
    return {
        "jobId": job_id,
        "queue": text(fields, "origin"),
        "type": name,
        "data": data,
        "error": error or error_of(fields, LISTED_BYTES),
        "failedAt": iso(moment(text(fields, "ended_at"))),
        "worker": text(fields, "worker_name"),
    }


def listed(answer: list[Any], types: frozenset[str]) -> dict[str, Any]:
    """One row of a list by state."""
    job_id, flat, progress, attempts, error, due, result = answer
    fields = fields_of(flat)
    name, data = _brief_call(fields, types)
    row = {
        "id": job_id.decode(),
        "name": name,
        "data": data if isinstance(data, dict) else {"value": data},
        "progress": int(progress),
        "attemptsMade": int(attempts),
        "timestamp": moment(text(fields, "created_at")),
        "failedReason": error.decode() or error_of(fields, LISTED_BYTES),
        "returnvalue": orjson.loads(result) if result else None,
    }
    scheduled = int(due)
    return row | ({"scheduledFor": iso(scheduled)} if scheduled else {})


def stats(queue: str, answer: list[Any]) -> dict[str, Any]:
    *rows, workers, now = answer
    levels: dict[str, dict[str, Any]] = {}
    for level, (*counts, _, oldest) in zip(Priority, rows, strict=True):
        since = moment(oldest.decode())
        age = max(0, int(now) - since) / 1000 if since is not None else 0
        levels[level.name.lower()] = dict(zip(COUNTS, counts, strict=True)) | {"oldestAgeSeconds": age}
    total = {name: sum(row[name] for row in levels.values()) for name in COUNTS}
    return {
        "queue": queue,
        "stats": total | {"total": sum(total.values())},
        "backlog": total["waiting"] + total["active"] + total["delayed"],
        "scheduled": sum(row[len(COUNTS)] for row in rows),
        "oldestAgeSeconds": max(row["oldestAgeSeconds"] for row in levels.values()),
        "workers": workers,
        "levels": levels,
    }
