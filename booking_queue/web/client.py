"""JSON over HTTP between our services. No retries here: one layer retries, and it is not this one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import orjson

from booking_queue import trace
from booking_queue.domain.errors import BackendUnavailable, BookingQueueError
from booking_queue.web.http import Answer, ConnectionLost, Http
from booking_queue.web.replies import dumps

DEADLINE_SECONDS = 2.0


class Unavailable(BackendUnavailable):
    """No answer, not in time, or a 5xx: the call may or may not have taken effect."""

    def __init__(self, message: str, status: int | None = None, body: Any = None):
        super().__init__(message)
        self.status = status
        self.body = body


class Rejected(BookingQueueError):
    """A 4xx: it took no effect. `body` is the problem document."""

    def __init__(self, message: str, status: int, body: Any):
        super().__init__(message)
        self.status = status
        self.body = body


class ServiceClient:
    def __init__(
        self,
        base_url: str,
        *,
        api_key: str = "",
        deadline: float = DEADLINE_SECONDS,
        max_connections: int = 32,
    ):
        self.base_url = base_url.rstrip("/")
        self.deadline = deadline
        headers = {"accept": "application/json"} | ({"x-api-key": api_key} if api_key else {})
        self._http = Http(self.base_url, headers, max_connections)

    async def get(self, path: str, params: Mapping[str, Any] | None = None, *, deadline: float | None = None) -> Any:
        return await self.request("GET", path, params=params, deadline=deadline)

    async def post(self, path: str, body: Any = None, *, deadline: float | None = None) -> Any:
        return await self.request("POST", path, body=body, deadline=deadline)

    async def delete(self, path: str, *, deadline: float | None = None) -> Any:
        return await self.request("DELETE", path, deadline=deadline)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        deadline: float | None = None,
    ) -> Any:
        """The answer's JSON. Raises Unavailable or Rejected."""
        sent: dict[str, str] = {}
        if traceparent := trace.current.get():
            sent["traceparent"] = traceparent
        if body is not None:
            sent["content-type"] = "application/json"
        content = b"" if body is None else dumps(body)
        target = f"{path}?{urlencode(params)}" if params else path
        seconds = self.deadline if deadline is None else deadline
        try:
            async with asyncio.timeout(seconds):
                answer = await self._http.request(method, target, sent, content)
        except TimeoutError:
            raise Unavailable(f"{self.base_url} did not answer within {seconds:g} s") from None
        except (OSError, ConnectionLost) as error:
            raise Unavailable(f"{self.base_url} cannot be reached: {type(error).__name__}") from error
        return self._read(answer)

    def _read(self, answer: Answer) -> Any:
        status, success = answer.status, 200 <= answer.status < 300
        try:
            body = orjson.loads(answer.body) if answer.body else None
        except orjson.JSONDecodeError:
            body = None
            if success:
                raise Unavailable(f"{self.base_url} answered no JSON", status) from None
        if success:
            return body
        said = body.get("error") if isinstance(body, dict) else None
        message = f"{self.base_url} answered {status}" + (f": {said}" if said else "")
        if 400 <= status < 500:
            raise Rejected(message, status, body)
        raise Unavailable(message, status, body)

    async def aclose(self) -> None:
        self._http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()
