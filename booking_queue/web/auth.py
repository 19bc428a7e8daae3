"""AUTH=open or AUTH=required, and what each refuses to start with. Which key a request carries is found out before
anything of it is read; what that key may, by the route."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from booking_queue.domain import access
from booking_queue.domain.access import OPERATOR, Key
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.settings import Settings
from booking_queue.web import session
from booking_queue.web.problems import Problem, response

OPEN_PATHS = frozenset({"/livez", "/readyz", session.PATH})  # the last is where one gets in

if TYPE_CHECKING:  # with it comes redis-py, which a service without Redis is to be spared
    from booking_queue.ledger.keys import Keys

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


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


class Rule(NamedTuple):
    scope: access.Scope | None
    """None: any key will do."""
    tenants: bool
    """A tenant's key may ask too: the route shows it its own alone."""


ANY = Rule(None, True)


def needs(scope: access.Scope | None) -> Callable[[Endpoint], Endpoint]:
    """The rule of a route that keeps tenants apart. One without this is the operator's: ops:read to look, ops:write
    for the rest, and with no tenant's key."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.__rule__ = Rule(scope, True)  # type: ignore[attr-defined]
        return endpoint

    return mark


def rule_of(endpoint: Callable[..., Any], method: str) -> Rule:
    looks = method in session.SAFE_METHODS
    rule: Rule = getattr(endpoint, "__rule__", Rule(access.Scope.OPS_READ if looks else access.Scope.OPS_WRITE, False))
    return rule


def asked_for(path: str) -> bool:
    """Whether this path needs a key at all."""
    return path not in OPEN_PATHS


async def caller_of(request: HTTPConnection) -> Key:
    if not request.app.state.keys_needed:
        return OPERATOR
    caller: Key = request.scope["caller"]
    return caller


Asking = Annotated[Key, Depends(caller_of)]


async def authorize(request: Request) -> None:
    """Raises 403 where the key is of the wrong kind for this route."""
    if not request.app.state.keys_needed or not asked_for(request.scope["path"]):
        return
    caller, rule = await caller_of(request), rule_of(request.scope["endpoint"], request.method)
    if rule.scope and rule.scope not in caller.scopes:
        raise Problem(403, f"This needs a key with the scope {rule.scope}", code="scope", extra={"scope": rule.scope})
    if caller.tenant and not rule.tenants:
        raise Problem(403, "This is about all tenants: it needs a key that is no tenant's", code="tenant")


def credentials(scope: Scope) -> bytes:
    """The key a request carries: `x-api-key`, or `authorization: Bearer`."""
    bearer = b""
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            return bytes(value)
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            bearer = bytes(value[7:].strip())
    return bearer


def _keys(scope: Scope) -> Keys | None:
    """None in a service without Redis: it knows API_KEY alone."""
    known: Keys | None = scope.get("state", {}).get("keys")
    return known


async def by_secret(scope: Scope, given: bytes, api_key: str) -> Key | None:
    if hmac.compare_digest(given, api_key.encode()):
        return OPERATOR
    known = _keys(scope)
    return await known.by_secret(given) if known else None


async def by_session(scope: Scope, held: session.Session | None) -> Key | None:
    if held is None or not held.key_id:
        return OPERATOR if held else None
    known = _keys(scope)
    return await known.by_id(held.key_id) if known else None


async def still_holds(scope: Scope, caller: Key) -> bool:
    """For an answer that goes on: False once the key is revoked."""
    known = _keys(scope)
    try:
        return not caller.id or known is None or await known.by_id(caller.id) is not None
    except LedgerUnavailable:
        return True  # nothing can be shown either


class ApiKey:
    """ASGI middleware: every path but OPEN_PATHS needs a key, or a session that was opened with one."""

    def __init__(self, app: ASGIApp, key: str, frontend_url: str):
        self.app = app
        self.key = key
        self.frontend_url = frontend_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and asked_for(scope["path"]):
            found = await self._caller(scope)
            if isinstance(found, Problem):
                return await response(found, scope)(scope, receive, send)
            scope["caller"] = found
        await self.app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Key | Problem:
        if given := credentials(scope):
            return await by_secret(scope, given, self.key) or _UNKNOWN
        caller = await by_session(scope, session.read(self.key, session.token_of(scope)))
        foreign = scope["method"] not in session.SAFE_METHODS and not session.from_our_page(scope, self.frontend_url)
        return session.FOREIGN if caller and foreign else caller or _UNAUTHORIZED


def _unauthorized(detail: str) -> Problem:
    return Problem(401, detail, error="Unauthorized", headers={"WWW-Authenticate": "Bearer"})


_UNAUTHORIZED = _unauthorized("Send your API key as `x-api-key` or `authorization: Bearer`")
_UNKNOWN = _unauthorized("The API key you sent is not known here: it is mistyped, or was revoked")
