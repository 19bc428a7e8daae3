"""The log of raw calls, and the numbers made of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import Field

from booking_queue.clock import iso, now_ms
from booking_queue.web.replies import JsonResponse
from providers.pages import Window, page

TOTALS = ("charges", "rawCalls", "voids", "refunds", "mails", "rawMails", "maxChargesPerKey")

router = APIRouter(tags=["evidence"])


@dataclass(frozen=True)
class Call:
    """A call that came in. `lost`: its answer will not arrive."""

    kind: Literal["charge", "void", "mail"]
    key: str
    lost: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict)

    def record(self, db: sqlite3.Connection, outcome: str) -> None:
        db.execute(
            "INSERT INTO calls (at, kind, key, outcome, lost, detail) VALUES (?, ?, ?, ?, ?, ?)",
            (now_ms(), self.kind, self.key, outcome, self.lost, orjson.dumps(self.detail).decode()),
        )
        add(db, "rawMails" if self.kind == "mail" else "rawCalls")


def add(db: sqlite3.Connection, name: str, by: int = 1) -> None:
    db.execute(
        "INSERT INTO totals VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2",
        (name, by),
    )


def at_least(db: sqlite3.Connection, name: str, value: int) -> None:
    db.execute(
        "INSERT INTO totals VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = MAX(value, ?2)", (name, value)
    )


class CallQuery(Window):
    kind: Literal["charge", "void", "mail"] | None = None
    key: str | None = Field(None, max_length=1000)


@router.get("/stats")
async def stats(request: Request) -> JsonResponse:
    """Charges (distinct keys), raw calls, voids, refunds, mails (distinct Message-IDs), raw mails,
    and the most charges that any one key has."""

    def totals(db: sqlite3.Connection) -> dict[str, int]:
        found = {row["name"]: row["value"] for row in db.execute("SELECT name, value FROM totals")}
        return {name: found.get(name, 0) for name in TOTALS}

    return JsonResponse(await request.state.store.read(totals))


@router.get("/calls")
async def list_calls(request: Request, query: Annotated[CallQuery, Query()]) -> JsonResponse:
    """Every call as it came in, newest first, the failed and the repeated ones too."""
    where = {"kind = ?": query.kind, "key = ?": query.key}
    return JsonResponse(await page(request.state.store, "calls", where, query, _shown))


def _shown(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "seq": row["seq"],
        "at": iso(row["at"]),
        "kind": row["kind"],
        "key": row["key"],
        "outcome": row["outcome"],
        "lost": bool(row["lost"]),
        "detail": orjson.loads(row["detail"]),
    }


def prune(db: sqlite3.Connection, older_than_ms: int, keep_mail_contents: int, at_most: int = 5000) -> None:
    """A slice of what may go, so that no caller waits for long."""
    for table in ("calls", "charges", "voids", "mails"):
        row = "key" if table == "voids" else "seq"
        db.execute(
            f"DELETE FROM {table} WHERE {row} IN (SELECT {row} FROM {table} WHERE at < ? LIMIT ?)",  # noqa: S608
            (older_than_ms, at_most),
        )
    db.execute("DELETE FROM mail_recipients WHERE mail < (SELECT COALESCE(MIN(seq), 0) FROM mails)")
    db.execute("DELETE FROM mail_contents WHERE mail <= (SELECT MAX(seq) FROM mails) - ?", (keep_mail_contents,))
