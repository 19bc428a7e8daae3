"""The payment provider: charge and void, idempotent by key."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from booking_queue.clock import iso, now_ms
from booking_queue.web.problems import Problem, not_found
from booking_queue.web.replies import JsonResponse
from providers.calls import Call, add, at_least
from providers.pages import Window, page
from providers.protocol import drop_connection

_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
Key = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_PRINTABLE)]

router = APIRouter(prefix="/payments", tags=["payments"])


class ChargeIn(BaseModel):
    """`amount`: minor units."""

    model_config = ConfigDict(extra="forbid")
    key: Key
    amount: int = Field(ge=1, le=10**12, strict=True)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    reference: str = Field("", max_length=200)


class VoidIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    key: Key


@router.post(
    "", status_code=201, responses={200: {"description": "Charged before", "content": {"application/json": {}}}}
)
async def charge(request: Request, body: ChargeIn) -> Response:
    """Charges once per key: 201, and 200 with the same charge for a repeated call."""
    dedupe = request.state.dedupe
    return await _call(request, "charge", body.key, lambda db, lost: _charge(db, body, dedupe, lost))


@router.post("/void")
async def void(request: Request, body: VoidIn) -> Response:
    """Gives back what the key was charged, if anything, and refuses any later charge with it."""
    return await _call(request, "void", body.key, lambda db, lost: _void(db, body.key, lost))


@router.get("")
async def list_payments(request: Request, query: Annotated[Window, Query()]) -> Response:
    """Charges, newest first."""
    return JsonResponse(await page(request.state.store, "charges", {}, query, _shown))


@router.get("/{key}")
async def get_payment(request: Request, key: Annotated[str, PathParameter(max_length=200)]) -> Response:
    """What became of a key."""

    def find(db: sqlite3.Connection) -> dict[str, Any] | None:
        charges = [_shown(row) for row in db.execute("SELECT * FROM charges WHERE key = ? LIMIT 100", (key,))]
        void = db.execute("SELECT * FROM voids WHERE key = ?", (key,)).fetchone()
        if not charges and not void:
            return None
        (calls,) = db.execute("SELECT COUNT(*) FROM calls WHERE key = ?", (key,)).fetchone()
        refunded = void["refunded"] if void else 0
        status = "voided" if void else "charged"
        return {"key": key, "status": status, "refunded": refunded, "rawCalls": calls, "charges": charges}

    found = await request.state.store.read(find)
    if not found:
        raise not_found("Payment not found")
    return JsonResponse(found)


async def _call(
    request: Request,
    kind: Literal["charge", "void"],
    key: str,
    operation: Callable[[sqlite3.Connection, bool], tuple[int, Any]],
) -> Response:
    fate = request.state.faults.payment()
    if fate.delay:
        await asyncio.sleep(fate.delay)
    if fate.fail:
        await request.state.store.write(lambda db: Call(kind, key).record(db, "failed"))
        raise Problem(500, "The provider failed, as its faults ask", code="simulated_failure")
    status, result = await request.state.store.write(lambda db: operation(db, fate.lose))
    if fate.lose:
        drop_connection(request)
        await asyncio.sleep(0)
    if isinstance(result, Problem):
        raise result
    return JsonResponse(result, status)


def _charge(db: sqlite3.Connection, body: ChargeIn, dedupe: bool, lost: bool) -> tuple[int, Any]:
    asked = {"amount": body.amount, "currency": body.currency, "reference": body.reference}
    call = Call("charge", body.key, lost, asked)

    def outcome(name: str, status: int, result: Any) -> tuple[int, Any]:
        call.record(db, name)
        return status, result

    if db.execute("SELECT 1 FROM voids WHERE key = ?", (body.key,)).fetchone():
        return outcome("voided", 409, Problem(409, "This key was voided and is not charged any more", code="voided"))
    earlier = db.execute("SELECT * FROM charges WHERE key = ? ORDER BY seq LIMIT 1", (body.key,)).fetchone()
    if earlier and dedupe:
        if (earlier["amount"], earlier["currency"]) != (body.amount, body.currency):
            why = "This key was charged another amount"
            return outcome("mismatch", 422, Problem(422, why, code="amount_mismatch"))
        return outcome("repeated", 200, _shown(earlier) | {"repeated": True})
    row = db.execute(
        "INSERT INTO charges (id, key, amount, currency, reference, at) VALUES (?, ?, ?, ?, ?, ?) RETURNING *",
        (f"ch_{uuid.uuid4().hex}", body.key, body.amount, body.currency, body.reference, now_ms()),
    ).fetchone()
    (of_key,) = db.execute("SELECT COUNT(*) FROM charges WHERE key = ?", (body.key,)).fetchone()
    at_least(db, "maxChargesPerKey", of_key)
    if of_key == 1:
        add(db, "charges")
    return outcome("charged", 201, _shown(row) | {"repeated": False})


def _void(db: sqlite3.Connection, key: str, lost: bool) -> tuple[int, Any]:
    earlier = db.execute("SELECT * FROM voids WHERE key = ?", (key,)).fetchone()
    if earlier:
        Call("void", key, lost).record(db, "repeated")
        refunded, at, repeated = earlier["refunded"], earlier["at"], True
    else:
        at, repeated = now_ms(), False
        query = "UPDATE charges SET refunded_at = ? WHERE key = ? RETURNING amount"
        refunds = [row["amount"] for row in db.execute(query, (at, key)).fetchall()]
        refunded = sum(refunds)
        db.execute("INSERT INTO voids VALUES (?, ?, ?)", (key, at, refunded))
        add(db, "voids")
        add(db, "refunds", len(refunds))
        Call("void", key, lost, {"refunded": refunded}).record(db, "refunded" if refunds else "voided")
    return 200, {"key": key, "status": "voided", "refunded": refunded, "voidedAt": iso(at), "repeated": repeated}


def _shown(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "chargeId": row["id"],
        "key": row["key"],
        "amount": row["amount"],
        "currency": row["currency"],
        "reference": row["reference"],
        "status": "refunded" if row["refunded_at"] else "charged",
        "createdAt": iso(row["at"]),
        "refundedAt": iso(row["refunded_at"]),
    }
