"""/livez, /readyz, /health and /metrics of every service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from booking_queue.metrics import Metrics
from booking_queue.web.replies import JsonResponse

PROBE_SECONDS = 1.0
ALARMS = "alarms"  # a member of what a probe returns: names of what should not be, though the service works

_UNREADY: dict[int | str, dict[str, Any]] = {503: {"description": "Not ready", "content": {"application/json": {}}}}

Probe = Callable[[Request], Awaitable[Mapping[str, Any] | None]]
"""Raises when a dependency does not answer; what it returns is added to /health."""


def router(
    service: str,
    about: Mapping[str, Any],
    checks: Mapping[str, Probe],
    metrics: Metrics,
    scrape: Probe | None,
) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/livez")
    async def livez() -> Response:
        """The process runs."""
        return JsonResponse({"status": "ok", "service": service})

    @routes.get("/readyz", responses=_UNREADY)
    async def readyz(request: Request) -> Response:
        """The service can do its work: its dependencies answer, and it is not stopping."""
        if request.app.state.stopping.is_set():
            return JsonResponse({"status": "stopping", "service": service, "checks": {}}, 503)
        results = await _run(checks, request)
        states = {name: _state(result) for name, result in results.items()}
        failed = any(isinstance(result, Exception) for result in results.values())
        body = {"status": "unavailable" if failed else "ready", "service": service, "checks": states}
        alarms = [name for result in results.values() if isinstance(result, Mapping) for name in result.get(ALARMS, ())]
        return JsonResponse(body | ({ALARMS: list(dict.fromkeys(alarms))} if alarms else {}), 503 if failed else 200)

    @routes.get("/health", responses=_UNREADY)
    async def health(request: Request) -> Response:
        """The older name: the same checks, and what they found."""
        body: dict[str, Any] = {"status": "ok", "service": service, **about}
        failures = []
        for name, result in (await _run(checks, request)).items():
            body[name] = "connected" if not isinstance(result, Exception) else "disconnected"
            if isinstance(result, Exception):
                failures.append(f"{name}: {_state(result)}")
            else:
                body |= result or {}
        if failures:
            return JsonResponse(body | {"status": "error", "message": "; ".join(failures)}, 503)
        return JsonResponse(body)

    @routes.get("/metrics", response_class=PlainTextResponse)
    async def prometheus(request: Request) -> Response:
        """Prometheus text."""
        if scrape is not None:
            await scrape(request)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return routes


async def _run(checks: Mapping[str, Probe], request: Request) -> dict[str, Mapping[str, Any] | Exception | None]:
    results = await asyncio.gather(*(_limited(probe, request) for probe in checks.values()))
    return dict(zip(checks, results, strict=True))


async def _limited(probe: Probe, request: Request) -> Mapping[str, Any] | Exception | None:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await probe(request)
    except TimeoutError:
        return TimeoutError(f"no answer within {PROBE_SECONDS:g} s")
    except Exception as error:
        return error


def _state(result: object) -> str:
    """Kinds only, no texts: those name hosts and users."""
    if isinstance(result, TimeoutError):
        return str(result) or "timed out"
    return type(result).__name__ if isinstance(result, Exception) else "ok"
