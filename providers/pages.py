"""Lists, newest first, by an opaque cursor."""

from __future__ import annotations

import base64
import binascii
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from booking_queue.web.problems import FieldError, Problem
from providers.store import Store


class Window(BaseModel):
    """The query of every list."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)
    cursor: str | None = Field(None, max_length=64, description="`nextCursor` of the page before.")
    limit: int = Field(50, ge=1, le=500)


async def page(
    store: Store,
    table: str,
    where: Mapping[str, str | None],
    window: Window,
    shown: Callable[[sqlite3.Row], dict[str, Any]],
) -> dict[str, Any]:
    """`where`: conditions of ours, each with the one value that a client gave; those without are left out."""
    given = {condition: value for condition, value in where.items() if value is not None}
    conditions = ["seq < ?", *given]
    query = f"SELECT * FROM {table} WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?"  # noqa: S608
    limit = window.limit
    values = (_decode(window.cursor), *given.values(), limit + 1)
    rows = await store.read(lambda db: db.execute(query, values).fetchall())
    following = _encode(rows[limit - 1]["seq"]) if len(rows) > limit else None
    return {"items": [shown(row) for row in rows[:limit]], "nextCursor": following}


def _encode(seq: int) -> str:
    return base64.urlsafe_b64encode(f"before:{seq}".encode()).decode()


def _decode(cursor: str | None) -> int:
    if cursor is None:
        return 2**62
    try:
        word, number = base64.urlsafe_b64decode(cursor.encode()).split(b":")
        if word == b"before" and number.isdigit():
            return min(int(number), 2**62)
    except (binascii.Error, ValueError):
        pass
    why = "is not a cursor of this list"
    raise Problem(400, f"cursor: {why}", errors=[FieldError("cursor", why, "cursor")])
