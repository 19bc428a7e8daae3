"""Whether everything answers: services, pages, providers and every worker replica, all asked at once."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson

from booking_queue.clock import iso, now_ms
from booking_queue.settings import Settings
from monitoring_service.workers import Workers

LIMIT_SECONDS = 2.0


class ServicesHealth:
    def __init__(self, settings: Settings):
        self._settings = settings
        self._http = httpx.AsyncClient(trust_env=False, timeout=None, follow_redirects=False)  # noqa: S113 - limited below
        self._headers = {"x-api-key": settings.api_key} if settings.api_key else {}

    async def read(self, workers: Workers | None) -> dict[str, Any]:
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
        return {"timestamp": iso(now_ms()), "services": [*await asyncio.gather(*checks), own, *lost]}

    async def _frontend(self) -> dict[str, Any]:
        settings = self._settings
        found = await self._ask("frontend", settings.frontend_probe_url or settings.frontend_url, "/", with_key=False)
        return found | {"url": settings.frontend_url}

    async def _ask(self, name: str, url: str, path: str = "/health", *, with_key: bool = True) -> dict[str, Any]:
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                answer = await self._http.get(url.rstrip("/") + path, headers=self._headers if with_key else {})
        except TimeoutError:
            return _service(name, url, error=f"no answer within {LIMIT_SECONDS:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return _service(name, url, error=f"cannot be reached: {type(error).__name__}")
        body = _json(answer)
        if answer.is_success:
            return _service(name, url, data=body if body is not None else {"status": "ok"})
        said = (body.get("message") or body.get("error")) if isinstance(body, dict) else None
        return _service(name, url, error=f"answered {answer.status_code}" + (f": {said}" if said else ""))

    async def close(self) -> None:
        await self._http.aclose()


def _json(answer: httpx.Response) -> Any:
    try:
        return orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return None


def _service(name: str, url: str, *, data: Any = None, error: str | None = None) -> dict[str, Any]:
    if error is not None:
        return {"name": name, "url": url, "status": "unhealthy", "error": error}
    return {"name": name, "url": url, "status": "healthy", "data": data}
