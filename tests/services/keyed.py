"""Apps that ask for keys, asked without a server between."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import httpx
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from booking_queue.domain import access
from booking_queue.ledger.keys import Keys
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from booking_queue.web.auth import Rule
from booking_queue.web.service import rules
from local.env import FOLDERS
from local.openapi import SERVICES
from providers.app import build as providers
from providers.options import ProviderSettings
from worker_service.app import side_of
from worker_service.stats import WorkerStats

API_KEY = "k" * 32
ALL = frozenset(access.Scope)


class Route(NamedTuple):
    service: str
    method: str
    path: str
    rule: Rule | None


def asking(settings: Settings, **changes: Any) -> Settings:
    """That ask for a key; nothing answers where the other services should be."""
    urls = {name: "http://127.0.0.1:1" for name in Settings.model_fields if name.endswith("_service_url")}
    return settings.model_copy(update={"auth": "required", "api_key": API_KEY, **urls, **changes})


def apps_of(settings: Settings) -> dict[str, FastAPI]:
    """Every service's, built as its own main does."""
    found = {name: importlib.import_module(f"{FOLDERS[name]}.app").build(settings) for name in SERVICES}
    with socket.socket() as unused:
        found["providers"] = providers(ProviderSettings(auth="required", api_key=API_KEY), unused)
    tools = cast(Any, SimpleNamespace(worker_id="w", metrics=Metrics()))
    found["worker"] = side_of(settings, tools, cast(WorkerStats, SimpleNamespace(scrape=None)))
    assert set(found) == set(FOLDERS), "a service that is not asked"
    return found


def routes_of(apps: dict[str, FastAPI]) -> Iterator[Route]:
    for name, app in apps.items():
        for method, path, rule in rules(app):
            yield Route(name, method, path, rule)


class Asker:
    """Asks an app that has this state, with no key or with one."""

    def __init__(self, app: FastAPI, **state: Any):
        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state)}, receive, send)

        transport = httpx.ASGITransport(app=with_state, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://test", timeout=10)

    async def __call__(self, method: str, path: str, key: str = "", **asked: Any) -> httpx.Response:
        headers = {"x-api-key": key} if key else {}
        return await self._http.request(method, path, headers=headers, **asked)


async def key_of(keys: Keys, tenant: str = "", *scopes: access.Scope) -> str:
    return (await keys.make("a test's", tenant, scopes or ALL))[1]
