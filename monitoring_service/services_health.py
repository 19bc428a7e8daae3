"""Whether everything answers: services, pages, providers and every worker replica, all asked at once."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from booking_queue.clock import iso, now_ms
from booking_queue.settings import Settings
from booking_queue.web.http import ConnectionLost, Http
from monitoring_service.view_answers import ServiceAnswer, ServicesRows
from monitoring_service.workers import Workers

LIMIT_SECONDS = 2.0
CONNECTIONS = 2


class ServicesHealth:
    def __init__(self, settings: Settings):
        self._settings = settings
        self._key = {"x-api-key": settings.api_key} if settings.api_key else {}
        self._servers: dict[str, Http] = {}
        self._workers: set[str] = set()

    async def read(self, workers: Workers | None) -> ServicesRows:
        settings = self._settings
        checks = [
            self._ask("api", settings.api_url),
            self._ask("queue", settings.queue_service_url),
            self._ask("stream", settings.stream_service_url),
            self._ask("kafka-service", settings.kafka_service_url),
            self._ask("providers", settings.providers_url),
            self._frontend(),
        ]
        alive = workers.alive if workers else []
        checks += [self._ask(f"worker {one.presence.id}", one.presence.address) for one in alive]
        own = _service("monitoring", settings.monitoring_url, data={"status": "ok", "service": "monitoring"})
        lost = [
            _service(f"worker {name}", "", error=f"no heartbeat for {age:.0f} s")
            for name, age in (workers.lost if workers else {}).items()
        ]
        answers = await asyncio.gather(*checks)
        self._forget({one.presence.address for one in alive})
        return {"timestamp": iso(now_ms()), "services": [*answers, own, *lost]}

    async def _frontend(self) -> ServiceAnswer:
        settings = self._settings
        found = await self._ask("frontend", settings.frontend_probe_url or settings.frontend_url, "/", with_key=False)
        return {**found, "url": settings.frontend_url}

    async def _ask(self, name: str, url: str, path: str = "/health", *, with_key: bool = True) -> ServiceAnswer:
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                server = self._servers.get(url) or self._servers.setdefault(url, Http(url, {}, CONNECTIONS))
                status, content = await server.request("GET", path, self._key if with_key else {}, b"")
        except TimeoutError:
            return _service(name, url, error=f"no answer within {LIMIT_SECONDS:g} s")
        except (OSError, ConnectionLost, ValueError) as error:
            return _service(name, url, error=f"cannot be reached: {type(error).__name__}")
        body = _json(content)
        if 200 <= status < 300:
            return _service(name, url, data=body if body is not None else {"status": "ok"})
        said = (body.get("message") or body.get("error")) if isinstance(body, dict) else None
        return _service(name, url, error=f"answered {status}" + (f": {said}" if said else ""))

    def _forget(self, alive: set[str]) -> None:
        """Workers that have gone, each of which had an address of its own."""
        for url in self._workers - alive:
            self._servers.pop(url).close()
        self._workers = alive & self._servers.keys()

    def close(self) -> None:
        for server in self._servers.values():
            server.close()


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _service(name: str, url: str, *, data: Any = None, error: str | None = None) -> ServiceAnswer:
    if error is not None:
        return {"name": name, "url": url, "status": "unhealthy", "error": error}
    return {"name": name, "url": url, "status": "healthy", "data": data}
