"""A browser's session: a cookie that proves its holder knew an API key, without being the key.

The token is its own expiry, the key's id, and an HMAC over both under a key derived from API_KEY, so every service can
verify it and none stores it; another API_KEY ends all sessions, a revoked key its own. Links cannot send a header:
hence a cookie.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.types import Scope

from booking_queue.web.problems import Problem

PATH = "/api/session"
COOKIE = "bq_session"
LIFE_SECONDS = 12 * 3600
FAILURES = 10
FAILURES_SECONDS = 60.0
MOST_PEERS = 1000
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FOREIGN = Problem(403, "A session changes things from our own page only; elsewhere send your API key", code="origin")


class Session(NamedTuple):
    expires: int  # s since 1970
    key_id: str  # of the key it was opened with; API_KEY has none


def issue(key: str, key_id: str = "", now: float | None = None) -> str:
    body = f"{int(time.time() if now is None else now) + LIFE_SECONDS}.{secrets.token_hex(8)}.{key_id}"
    return f"{body}.{_sign(key, body)}"


def read(key: str, token: str, now: float | None = None) -> Session | None:
    """What a token says that was issued under `key` and has not ended; None for any other."""
    body, _, signature = token.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _sign(key, body).encode()):
        return None
    end, _, key_id = body.split(".")
    return Session(int(end), key_id) if int(end) > (time.time() if now is None else now) else None


def _sign(key: str, body: str) -> str:
    own = hmac.digest(key.encode(), b"booking-queue session with a key's id", "sha256")
    return hmac.digest(own, body.encode(), "sha256").hex()


def token_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"cookie":
            for part in value.decode("latin-1").split(";"):
                key, _, token = part.strip().partition("=")
                if key == COOKIE:
                    return str(token)
    return ""


def cookie(token: str, *, secure: bool) -> str:
    """The Set-Cookie of a token; of an empty one, what forgets it."""
    life = LIFE_SECONDS if token else 0
    return f"{COOKIE}={token}; Path=/; Max-Age={life}; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")


def origin(scope: Scope) -> str:
    return _header(scope, b"origin")


def host(scope: Scope) -> str:
    return _header(scope, b"host")


def _header(scope: Scope, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")


def from_our_page(scope: Scope, frontend_url: str) -> bool:
    """SameSite knows no ports: another server on localhost is the same site, but not the same origin."""
    return _netloc(origin(scope)) in {host(scope).lower(), _netloc(frontend_url)} - {""}


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:  # such as a bracket that is not closed
        return ""


class Attempts:
    """Wrong keys a client may try: FAILURES in FAILURES_SECONDS. Behind a proxy all are one client."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_seconds(self, peer: str) -> int:
        """How long until `peer` may try again; 0 at once."""
        times = self._failed.get(peer)
        if not times or len(times) < FAILURES:
            return 0
        left = times[0] + FAILURES_SECONDS - self._clock()
        return int(left) + 1 if left > 0 else 0

    def failed(self, peer: str) -> None:
        times = self._failed.setdefault(peer, deque(maxlen=FAILURES))
        times.append(self._clock())
        self._failed.move_to_end(peer)
        while len(self._failed) > MOST_PEERS:
            self._failed.popitem(last=False)
