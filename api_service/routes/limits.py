"""Limits over all workers, and pausing a backend."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AfterValidator, ConfigDict, Field, RootModel, StrictBool
from starlette.responses import Response

from api_service.gateway import Gateway, Running
from api_service.limits import flat, shown
from booking_queue.domain.job import Backend
from booking_queue.handlers import registry
from booking_queue.settings import LimitSetting
from booking_queue.web.replies import JsonResponse

router = APIRouter(prefix="/api/limits", tags=["limits"])


class Change(LimitSetting):
    """A member that is not named stays; null goes back to what the settings say. `outstanding` and `paused` are of
    backends: a paused one starts nothing, on no worker, until it is resumed."""

    outstanding: Annotated[int, Field(ge=0, le=100_000_000, strict=True)] | None = None
    paused: StrictBool | None = None


def _known_scope(scope: str) -> str:
    known = [*Backend, *(f"type:{kind}" for kind in sorted(registry()))]
    if scope not in known:
        raise ValueError(f"must be one of {', '.join(known)}")
    return scope


def _of_backends(changes: dict[str, Change]) -> dict[str, Change]:
    for scope, change in changes.items():
        if scope not in set(Backend) and change.model_fields_set & {"outstanding", "paused"}:
            raise ValueError(f"{scope}: only a backend has `outstanding` and `paused`")
    return changes


Scope = Annotated[str, AfterValidator(_known_scope)]
Scopes = Annotated[dict[Scope, Change], Field(min_length=1), AfterValidator(_of_backends)]


class Changes(RootModel[Scopes]):
    """By scope: a backend, or `type:` and a job type."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"kafka": {"paused": True}, "type:booking": {"concurrency": 20}}}
    )


@router.get("")
async def get_limits(gateway: Running) -> Response:
    """What is in force, by scope."""
    return JsonResponse(await _all(gateway))


@router.put("")
async def put_limits(body: Changes, gateway: Running) -> Response:
    """Changes limits at once, for all workers. A job that a limit holds up waits; it uses up no attempt."""
    for scope, change in body.root.items():
        await gateway.limits.put(scope, _changed(change))
    return JsonResponse(await _all(gateway))


def _changed(change: Change) -> dict[str, int | None]:
    every = flat(change) | {
        "outstanding": change.outstanding,
        "paused": None if not change.paused else 1,
    }
    of = {"window": "rate"}
    return {name: value for name, value in every.items() if of.get(name, name) in change.model_fields_set}


async def _all(gateway: Gateway) -> dict[str, Any]:
    return {"limits": shown(await gateway.limits.all())}
