"""What AUTH=open asks of a browser. No key stands between us and the pages of other sites that it shows, so such a page
changes nothing here, and none reads anything under a name of its own that it made point at us (DNS rebinding)."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from booking_queue.settings import Settings
from booking_queue.web import session
from booking_queue.web.problems import Problem, response

_FOREIGN = Problem(403, "A page of another site may change nothing here", code="origin")


class Visitors:
    """ASGI middleware. Clients that are no browser send no Origin, and a Host that they were told."""

    def __init__(self, app: ASGIApp, settings: Settings):
        self.app = app
        self.frontend_url = settings.frontend_url
        self.names = _names(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (problem := self._refusal(scope)):
            return await response(problem, scope)(scope, receive, send)
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Problem | None:
        name = _name("//" + session.host(scope))
        if not (_cannot_be_foreign(name) or name in self.names):
            return Problem(
                421,
                "This suite is not known by the name that was asked for: use localhost or its address, or, where it "
                "has a name, set FRONTEND_URL to that",
                code="host",
            )
        changes = scope["method"] not in session.SAFE_METHODS
        if changes and session.origin(scope) and not session.from_our_page(scope, self.frontend_url):
            return _FOREIGN
        return None


def _names(settings: Settings) -> frozenset[str]:
    """Those that the suite itself is told to use."""
    return frozenset(_name(value) for field, value in settings if field.endswith("_url"))


@lru_cache(maxsize=1000)
def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # such as a bracket that is not closed
        return url


@lru_cache(maxsize=1000)
def _cannot_be_foreign(name: str) -> bool:
    """Nobody else can have a name without a dot, under .localhost, or an address."""
    if "." not in name or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
