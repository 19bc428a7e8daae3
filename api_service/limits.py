"""Limits as people write them, and as the ledger keeps them."""

from __future__ import annotations

from collections.abc import Mapping

from api_service.answers import LimitAnswer, RateAnswer
from booking_queue.domain.job import Backend
from booking_queue.ledger.limits import Limit
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


def shown(limits: Mapping[str, Limit]) -> dict[str, LimitAnswer]:
    return {scope: _shown(scope, limit) for scope, limit in limits.items()}


def _shown(scope: str, limit: Limit) -> LimitAnswer:
    if scope.partition(":")[0] == TENANT:
        return {"outstanding": limit.outstanding}
    rate: RateAnswer | None = None
    if limit.rate and limit.window:
        rate = {"max": limit.rate, "durationMs": limit.window}
    told: LimitAnswer = {"concurrency": limit.concurrency, "rate": rate}
    if scope in set(Backend):
        told["outstanding"], told["paused"] = limit.outstanding, bool(limit.paused)
    return told
