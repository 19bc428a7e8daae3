"""API keys: who may ask this installation for what."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from api_service.gateway import Running
from booking_queue import logs
from booking_queue.clock import iso
from booking_queue.domain.access import TENANT_PATTERN, Key, Scope
from booking_queue.ledger.keys import TooManyKeys
from booking_queue.web.auth import Asking
from booking_queue.web.problems import Problem, conflict, not_found
from booking_queue.web.replies import JsonResponse

log = logs.get("keys")

_UNSTORED = {"Cache-Control": "no-store"}


async def _keys_are_needed(request: Request) -> None:
    """Or whoever can reach an open installation leaves a key behind for the day it is not."""
    if not request.app.state.keys_needed:
        raise conflict("No key is needed: AUTH=open")


router = APIRouter(prefix="/api/keys", tags=["keys"], dependencies=[Depends(_keys_are_needed)])


class NewKey(BaseModel):
    """Without a `tenant` it sees what everybody's is; with one, only what that tenant's keys have sent."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"name": "shop", "tenant": "acme", "scopes": ["bookings:read", "bookings:write"]}
        },
    )
    name: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
    tenant: Annotated[str, StringConstraints(pattern=f"^{TENANT_PATTERN}$")] | None = None
    scopes: Annotated[set[Scope], Field(min_length=1, json_schema_extra={"uniqueItems": False})]


@router.get("")
async def list_keys(gateway: Running) -> Response:
    """All that hold, the newest first; there are at most 1,000. Not what their holders send: nobody knows that."""
    return JsonResponse({"items": [_shown(key) for key in await gateway.keys.all()]})


@router.post("", status_code=201)
async def create_key(body: NewKey, gateway: Running, caller: Asking) -> Response:
    """A key, shown this once, that may do no more than the one that asks for it. To change a key, make the next, let
    its holder take that, then revoke this one: as many hold at a time as there are."""
    if more := sorted(body.scopes - caller.scopes):
        raise Problem(403, f"Your key does not have {', '.join(more)} itself", code="scope", extra={"scope": more[0]})
    try:
        key, secret = await gateway.keys.make(body.name, body.tenant or "", body.scopes)
    except TooManyKeys as error:
        raise conflict(str(error)) from None
    log.event("key_made", id=key.id, tenant=key.tenant, scopes=sorted(key.scopes), by=caller.id)
    return JsonResponse({**_shown(key), "apiKey": secret}, 201, _UNSTORED | {"Location": f"/api/keys/{key.id}"})


@router.delete("/{id}", status_code=204)
async def revoke_key(id: Annotated[str, Path(max_length=100)], gateway: Running, caller: Asking) -> Response:
    """From now on it is refused, elsewhere within a second or two; event streams opened with it end."""
    if not await gateway.keys.revoke(id):
        raise not_found("Key not found")
    log.event("key_revoked", id=id, by=caller.id)
    return Response(status_code=204)


def _shown(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "tenant": key.tenant or None,
        "scopes": sorted(key.scopes),
        "createdAt": iso(key.created),
    }
