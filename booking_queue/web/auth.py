"""AUTH=open or AUTH=required, and what each refuses to start with."""

from __future__ import annotations

import hmac
import ipaddress

from starlette.types import ASGIApp, Receive, Scope, Send

from booking_queue.settings import Settings
from booking_queue.web import session
from booking_queue.web.problems import Problem, response

OPEN_PATHS = frozenset({"/livez", "/readyz", session.PATH})  # the last is where one gets in


def check_settings(settings: Settings) -> None:
    """Leaves with one line that names the remedy, when starting would be unsafe."""
    if settings.auth == "required" and not settings.api_key:
        raise SystemExit("AUTH=required needs a key: set API_KEY (or API_KEY_FILE), or set AUTH=open")
    if settings.auth == "open" and not settings.trusted_network and not is_loopback(settings.bind_host):
        raise SystemExit(
            f"AUTH=open does not listen on {settings.bind_host}: set BIND_HOST=127.0.0.1, or AUTH=required "
            "with API_KEY, or TRUSTED_NETWORK=1 if nobody else can reach that address"
        )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def credentials(scope: Scope) -> bytes:
    """The key a request carries: `x-api-key`, or `authorization: Bearer`."""
    bearer = b""
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            return bytes(value)
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            bearer = bytes(value[7:].strip())
    return bearer


class ApiKey:
    """ASGI middleware: every route but OPEN_PATHS needs the key, or a session that was opened with it."""

    def __init__(self, app: ASGIApp, key: str, frontend_url: str):
        self.app = app
        self.key = key
        self.frontend_url = frontend_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            problem = self._refusal(scope)
            if problem:
                return await response(problem, scope)(scope, receive, send)
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Problem | None:
        given = credentials(scope)
        if given:
            return None if hmac.compare_digest(given, self.key.encode()) else _UNAUTHORIZED
        if session.expires(self.key, session.token_of(scope)) is None:
            return _UNAUTHORIZED
        if scope["method"] not in session.SAFE_METHODS and not session.from_our_page(scope, self.frontend_url):
            return session.FOREIGN
        return None


_UNAUTHORIZED = Problem(
    401,
    "Send your API key as `x-api-key` or `authorization: Bearer`",
    error="Unauthorized",
    headers={"WWW-Authenticate": "Bearer"},
)
