"""Limits over all workers, and pausing a backend."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, ConfigDict, Field, RootModel, StrictBool
from starlette.responses import Response

from api_service.answers import LimitsAnswer
from api_service.gateway import Gateway, Running
from api_service.limits import TENANT, flat, has_line, shown
from booking_queue.domain.access import TENANT_PATTERN
from booking_queue.domain.job import Backend
from booking_queue.handlers import registry
from booking_queue.settings import LimitSetting
from booking_queue.web.replies import JsonResponse

router = APIRouter(prefix="/api/limits", tags=["limits"])


class Change(LimitSetting):
    """A member that is not named stays; null goes back to what the settings say. `paused` is of backends: a paused one
    starts nothing, on no worker, until it is resumed. `outstanding` is of backends and tenants, and all that tenants
    have."""

    outstanding: Annotated[int, Field(ge=0, le=100_000_000, strict=True)] | None = None
    paused: StrictBool | None = None


def _known_scope(scope: str) -> str:
    known = [*Backend, *(f"type:{kind}" for kind in sorted(registry())), TENANT]
    if scope not in known and not _OF_ONE.fullmatch(scope):
        raise ValueError(f"must be one of {', '.join(known)}, or {TENANT}: and a tenant")
    return scope


def _of_its_kind(changes: dict[str, Change]) -> dict[str, Change]:
    for scope, change in changes.items():
        kind = scope.partition(":")[0]
        has = _MEMBERS.get(kind, set(Change.model_fields))
        if change.model_fields_set - has:
            raise ValueError(f"{scope}: a {kind} has {', '.join(sorted(has))}, no more")
    return changes


_OF_ONE = re.compile(rf"{TENANT}:{TENANT_PATTERN}")
_MEMBERS = {"type": {"concurrency", "rate"}, TENANT: {"outstanding"}}


Scope = Annotated[str, AfterValidator(_known_scope)]
Scopes = Annotated[dict[Scope, Change], Field(min_length=1), AfterValidator(_of_its_kind)]


class Changes(RootModel[Scopes]):
    """By scope: a backend, `type:` and a job type, `tenant:` and a tenant, `tenant` for those without their own."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"kafka": {"paused": True}, "type:booking": {"concurrency": 20}}}
    )


@router.get("", response_model=LimitsAnswer)
async def get_limits(gateway: Running) -> Response:
    """What is in force, by scope, how many wait for it and how many hold a place."""
    return JsonResponse(await _all(gateway))


@router.put("", response_model=LimitsAnswer)
async def put_limits(body: Changes, gateway: Running) -> Response:
    """Changes limits at once, for all workers. A job that a limit holds up waits; it uses up no attempt."""
    await gateway.limits.put({scope: _changed(change) for scope, change in body.root.items()})
    return JsonResponse(await _all(gateway))


def _changed(change: Change) -> dict[str, int | None]:
    every = flat(change) | {
        "outstanding": change.outstanding,
        "paused": None if not change.paused else 1,
    }
    of = {"window": "rate"}
    return {name: value for name, value in every.items() if of.get(name, name) in change.model_fields_set}


async def _all(gateway: Gateway) -> LimitsAnswer:
    limits = await gateway.limits.all()
    return {"limits": shown(limits, await gateway.limits.held([scope for scope in limits if has_line(scope)]))}
