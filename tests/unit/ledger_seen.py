"""The ledger as it is in Redis, told in the words of the model."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from booking_queue.ledger.record import Record
from tests.unit.book import Book

Seen = tuple[dict[str, dict[str, Any]], dict[str, set[str]]]


async def seen(book: Book, job_ids: Collection[str], lists: Collection[str]) -> Seen:
    """All that is known of the jobs, and who is on the lists."""
    pipe = book.redis.pipeline(transaction=False)
    for job_id in job_ids:
        pipe.ttl(f"{book.prefix}:job:{job_id}")
    for name in lists:
        pipe.zrange(f"{book.prefix}:{name}", 0, -1)
    records, answers = await asyncio.gather(asyncio.gather(*map(book.record, job_ids)), pipe.execute())
    lives, members = answers[: len(records)], answers[len(records) :]
    jobs = {record.id: _told(record, life) for record, life in zip(records, lives, strict=True)}
    return jobs, {name: {each.decode() for each in ids} for name, ids in zip(lists, members, strict=True)}


def _told(record: Record, life: int) -> dict[str, Any]:
    return {
        "type": record.type,
        "data": record.data,
        "round": record.round,
        "cancel": record.cancel,
        "done": {name for name, effect in record.effects.items() if effect.state == "done"},
        "kept": life == -1,
        "legs": {
            backend: (leg.state, leg.generation, leg.starts, leg.attempts, leg.redrives)
            for backend, leg in record.legs.items()
        },
    }
