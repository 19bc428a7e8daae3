"""The inbox: mails folded by their Message-ID, read over HTTP."""

from __future__ import annotations

import email
import sqlite3
import uuid
from collections.abc import Sequence
from email import policy
from email.message import EmailMessage, Message
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from fastapi import Path as PathParameter
from pydantic import Field
from starlette.responses import Response

from booking_queue.clock import iso, now_ms
from booking_queue.web.problems import not_found
from booking_queue.web.replies import JsonResponse
from providers.calls import Call, add
from providers.faults import Fate
from providers.pages import Window, page

_MAX_HEADER = 1000
_MAX_TEXT = 100_000

router = APIRouter(prefix="/mails", tags=["mails"])
MailId = Annotated[int, PathParameter(ge=1, le=2**62)]


class MailQuery(Window):
    message_id: str | None = Field(None, max_length=1000)
    to: str | None = Field(None, max_length=320)
    q: str | None = Field(None, max_length=200)


def deliver(db: sqlite3.Connection, sender: str, recipients: Sequence[str], raw: bytes, fate: Fate) -> None:
    """One raw call; unless it is to fail, one more delivery of that Message-ID."""
    headers = email.message_from_bytes(raw[: 64 * 1024], policy=policy.compat32)
    message_id = _header(headers, "Message-ID") or f"<{uuid.uuid4()}@providers>"
    Call("mail", message_id, fate.lose).record(db, "failed" if fate.fail else "delivered")
    if fate.fail:
        return
    folded = "UPDATE mails SET deliveries = deliveries + 1 WHERE message_id = ? RETURNING seq"
    if db.execute(folded, (message_id,)).fetchall():
        return
    people = [_clean(recipient) for recipient in recipients]
    subject = _header(headers, "Subject")
    values = (message_id, now_ms(), _clean(sender), orjson.dumps(people).decode(), subject, len(raw))
    row = db.execute(
        "INSERT INTO mails (message_id, at, sender, recipients, subject, size, deliveries)"
        " VALUES (?, ?, ?, ?, ?, ?, 1) RETURNING seq",
        values,
    ).fetchone()
    addresses = {(person.lower(), row["seq"]) for person in people}
    db.executemany("INSERT INTO mail_recipients VALUES (?, ?)", sorted(addresses))
    db.execute("INSERT INTO mail_contents VALUES (?, ?)", (row["seq"], raw))
    add(db, "mails")


@router.get("")
async def list_mails(request: Request, query: Annotated[MailQuery, Query()]) -> Response:
    """Newest first; `to` is a whole address, `q` a part of subject, sender, recipients or Message-ID."""
    where = {
        "message_id = ?": query.message_id,
        "seq IN (SELECT mail FROM mail_recipients WHERE address = lower(?))": query.to,
        "instr(lower(subject || ' ' || sender || ' ' || recipients || ' ' || message_id), lower(?)) > 0": query.q,
    }
    return JsonResponse(await page(request.state.store, "mails", where, query, _shown))


@router.get("/{mail}")
async def get_mail(request: Request, mail: MailId) -> Response:
    """Headers, text and what is attached."""
    row, raw = await _find(request, mail)
    body = _shown(row)
    if raw is not None:
        body |= await request.state.store.read(lambda db: _parsed(raw))
    return JsonResponse(body)


@router.get("/{mail}/raw")
async def get_raw_mail(request: Request, mail: MailId) -> Response:
    """The bytes as they came."""
    _, raw = await _find(request, mail)
    if raw is None:
        raise not_found("The content of this mail is not kept any more")
    headers = {"Content-Disposition": f'attachment; filename="{mail}.eml"'}
    return Response(raw, media_type="message/rfc822", headers=headers)


@router.delete("")
async def delete_mails(request: Request) -> Response:
    """Empties the inbox; the log of raw calls stays."""

    def delete(db: sqlite3.Connection) -> int:
        deleted = db.execute("DELETE FROM mails").rowcount
        db.execute("DELETE FROM mail_recipients")
        db.execute("DELETE FROM mail_contents")
        return deleted

    return JsonResponse({"deleted": await request.state.store.write(delete)})


async def _find(request: Request, mail: int) -> tuple[sqlite3.Row, bytes | None]:
    def find(db: sqlite3.Connection) -> tuple[sqlite3.Row | None, bytes | None]:
        row = db.execute("SELECT * FROM mails WHERE seq = ?", (mail,)).fetchone()
        content = db.execute("SELECT raw FROM mail_contents WHERE mail = ?", (mail,)).fetchone()
        return row, content["raw"] if content else None

    row, raw = await request.state.store.read(find)
    if row is None:
        raise not_found("Mail not found")
    return row, raw


def _shown(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["seq"],
        "messageId": row["message_id"],
        "from": row["sender"],
        "to": orjson.loads(row["recipients"]),
        "subject": row["subject"],
        "receivedAt": iso(row["at"]),
        "size": row["size"],
        "deliveries": row["deliveries"],
    }


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        return _read(email.message_from_bytes(raw, policy=policy.default))
    except Exception:  # the modern parser raises all kinds of errors on hostile headers
        return _read(email.message_from_bytes(raw, policy=policy.compat32))


def _read(message: Message) -> dict[str, Any]:
    texts = [part for part in message.walk() if part.get_content_type() == "text/plain" and not part.get_filename()]
    attached = [part for part in message.walk() if part.get_filename()]
    return {
        "headers": [{"name": _clean(name), "value": _clean(str(value))} for name, value in message.items()],
        "text": _text(texts[0]) if texts else "",
        "attachments": [
            {
                "filename": _clean(part.get_filename() or ""),
                "contentType": part.get_content_type(),
                "size": len(_payload(part)),
            }
            for part in attached
        ],
    }


def _text(part: Message) -> str:
    try:
        text = _payload(part).decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        text = _payload(part).decode("utf-8", "replace")
    return text.replace("\r\n", "\n")[:_MAX_TEXT]


def _payload(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _header(message: Message | EmailMessage, name: str) -> str:
    value = message.get(name)
    return _clean(str(value)).strip() if value is not None else ""


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:_MAX_HEADER]
