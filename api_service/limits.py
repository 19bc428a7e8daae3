"""Limits as people write them, and as the ledger keeps them."""

from __future__ import annotations

from collections.abc import Mapping

from api_service.answers import LimitAnswer, RateAnswer
from booking_queue.domain.job import Backend
from booking_queue.ledger.limits import Held, Limit
from booking_queue.settings import LimitSetting, Settings

TENANT = "tenant"  # every one that has no limits of its own; those of one are `tenant:` and its name


def limits_of(settings: Settings) -> dict[str, Limit]:
    """What the settings ask for, by scope."""
    asked = {backend.value: LimitSetting() for backend in Backend} | settings.limits
    return {
        scope: Limit(**flat(limit), outstanding=settings.max_outstanding if scope in set(Backend) else None)
        for scope, limit in asked.items()
    } | {TENANT: Limit(outstanding=settings.tenant_outstanding)}


def flat(limit: LimitSetting) -> dict[str, int | None]:
    rate = limit.rate
    return {
        "concurrency": limit.concurrency,
        "rate": rate.max if rate else None,
        "window": rate.duration_ms if rate else None,
    }


def has_line(scope: str) -> bool:
    """What a tenant has too much of is refused, and does not wait."""
    return scope.partition(":")[0] != TENANT


def shown(limits: Mapping[str, Limit], held: Mapping[str, Held]) -> dict[str, LimitAnswer]:
    """`held`: of those that have a line."""
    return {scope: _shown(scope, limit, held.get(scope)) for scope, limit in limits.items()}


def _shown(scope: str, limit: Limit, held: Held | None) -> LimitAnswer:
    if held is None:
        return {"outstanding": limit.outstanding}
    rate: RateAnswer | None = None
    if limit.rate and limit.window:
        rate = {"max": limit.rate, "durationMs": limit.window}
    told: LimitAnswer = {"concurrency": limit.concurrency, "rate": rate, "waiting": held.waiting}
    if limit.concurrency is not None:
        told["running"] = held.running
    if scope in set(Backend):
        told["outstanding"], told["paused"] = limit.outstanding, bool(limit.paused)
    return told
