"""Builds the FastAPI app of a service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from booking_queue.domain.errors import InvalidData, Overloaded, TenantOverloaded
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from booking_queue.web import auth, docs, health, outages, problems, validation
from booking_queue.web.body import Body
from booking_queue.web.edge import Edge
from booking_queue.web.problems import Problem
from booking_queue.web.replies import JsonResponse
from booking_queue.web.visitors import Visitors

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, Any]]]


def create_app(  # noqa: PLR0913 - all but two by name
    name: str,
    settings: Settings,
    *,
    default_port: int,
    lifespan: Lifespan | None = None,
    routers: Sequence[APIRouter] = (),
    about: Mapping[str, Any] | None = None,
    checks: Mapping[str, health.Probe] | None = None,
    metrics: Metrics | None = None,
    scrape: health.Probe | None = None,
    batch_paths: Collection[str] = (),
) -> FastAPI:
    """`about`: members of /health; `checks`: what /readyz asks, by dependency; `scrape`: brings gauges up to
    date before /metrics is read; `batch_paths`: those that take 1 MiB. `app.state.stopping` is an Event,
    set when the service starts to stop."""
    auth.check_settings(settings)
    keys_needed = settings.auth == "required"
    app = _empty(name, lifespan, [Depends(auth.authorize)] if keys_needed else [])
    app.state.service = name
    app.state.keys_needed = keys_needed
    app.state.port = settings.port or default_port
    app.state.stopping = asyncio.Event()
    app.state.metrics = metrics or Metrics()
    app.include_router(health.router(name, about or {}, checks or {}, app.state.metrics, scrape))
    for router in (*routers, docs.router):
        app.include_router(router)
    _handle_errors(app)
    app.add_middleware(Body, batch_paths=batch_paths)  # the last one added is the outermost
    if keys_needed:
        app.add_middleware(auth.ApiKey, key=settings.api_key, frontend_url=settings.frontend_url)
    else:
        app.add_middleware(Visitors, settings=settings)
    app.add_middleware(Edge, explain=outages.explain)
    _document(app)
    return app


def _empty(name: str, lifespan: Lifespan | None, dependencies: Sequence[Any]) -> FastAPI:
    return FastAPI(
        title=f"booking-queue {name}",
        lifespan=lifespan,
        dependencies=dependencies,
        docs_url=None,  # ours is docs.py
        redoc_url=None,
        redirect_slashes=False,
        default_response_class=JsonResponse,
        generate_unique_id_function=_operation_id,
        responses=_PROBLEMS,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # ours are trace.py, metrics.py and logs.py
    )


def _operation_id(route: APIRoute) -> str:
    return to_camel(route.name)


_CONTENT = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Refused", "content": _CONTENT},
    "5XX": {"description": "Failed", "content": _CONTENT},
}


def _document(app: FastAPI) -> None:
    """What FastAPI does not know of: problems, and which key each request needs."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).setdefault("Problem", problems.SCHEMA)
        components["securitySchemes"] = _KEYS
        for method, path, rule in rules(app):
            told = document["paths"].get(path, {}).get(method.lower())
            if told is not None and rule is not None:
                told["security"] = [{name: [rule.scope] if rule.scope else []} for name in _KEYS]
                told["x-tenants"] = rule.tenants  # whether a tenant's key may ask
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def rules(app: FastAPI) -> Iterator[tuple[str, str, auth.Rule | None]]:
    """Method, path and rule of every route; no rule where no key is needed. What is no APIRoute takes any key."""
    for route in iter_route_contexts(app.routes):
        path, endpoint = route.path or "", route.endpoint if isinstance(route.original_route, APIRoute) else None
        for method in sorted(route.methods or ()):
            rule = auth.rule_of(endpoint, method) if endpoint else auth.ANY
            yield method, path, rule if auth.asked_for(path) else None


_KEYS: dict[str, Any] = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def _handle_errors(app: FastAPI) -> None:
    async def problem(request: Request, error: Exception) -> Response:
        return problems.response(_problem_of(request, error), request.scope)

    for kind in (Problem, HTTPException, RequestValidationError, InvalidData, Overloaded):
        app.add_exception_handler(kind, problem)


def _problem_of(request: Request, error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return validation.problem_of(error, request)
        case TenantOverloaded():
            return problems.too_many_outstanding(str(error), error.most)
        case Overloaded():
            return problems.unavailable(outages.for_now(error), problems.OVERLOADED_SECONDS)
        case InvalidData():
            return validation.from_invalid_data(error)
        case HTTPException(status_code=405):
            return Problem(405, str(error.detail), headers={"Allow": ", ".join(_methods(request))})
        case HTTPException():
            return Problem(error.status_code, str(error.detail), headers=error.headers)
    raise error


def _methods(request: Request) -> list[str]:
    """That this path takes, by any route: Starlette names those of the first one only."""
    scopes = ({**request.scope, "method": method} for method in ("DELETE", "GET", "PATCH", "POST", "PUT"))
    taken = (scope for scope in scopes if any(each.matches(scope)[0] is Match.FULL for each in request.app.routes))
    return [scope["method"] for scope in taken]
