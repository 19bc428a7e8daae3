"""The outermost layer: a trace for every request, security headers on every answer, and no bare 500."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from booking_queue import logs, trace
from booking_queue.web.problems import Problem, response

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]

_OUR_FAULT = "Something went wrong on our side; quote the traceId"

log = logs.get("web")


class Edge:
    """`explain` makes a problem of an error that is not this service's fault."""

    def __init__(self, app: ASGIApp, explain: Callable[[Exception], Problem | None]):
        self.app = app
        self.explain = explain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        traceparent = scope["traceparent"] = _traceparent(scope)
        trace.current.set(traceparent)
        headers = [*HEADERS, (b"x-trace-id", trace.trace_id(traceparent).encode())]
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:
            problem = self.explain(error)
            if problem is None or started:
                log.error("request_failed", exc=error, method=scope["method"], path=scope["path"])
            if started:
                raise
            problem = problem or Problem(500, _OUR_FAULT, error="Internal Server Error")
            await response(problem, scope)(scope, receive, send_with_headers)


def _traceparent(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return trace.child(value.decode("latin-1"))
    return trace.new()
