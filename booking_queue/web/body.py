"""Reads a request's body within bounds of size, time and shape before any route sees it.

Counted on the stream, so a lying Content-Length or a chunked body gains nothing. JSON must be what every
later reader agrees on: UTF-8, no NaN, no Infinity, no lone surrogates, integers within 64 bits, depth <= 16.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Collection
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from booking_queue.web.problems import Problem, response

LIMIT = 64 * 1024
BATCH_LIMIT = 1024 * 1024
MAX_DEPTH = 16
READ_SECONDS = 10.0
DISCARD_BYTES = 4 * BATCH_LIMIT
DISCARD_SECONDS = 1.0
_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LONG_NUMBER = re.compile(rb"\d{19}")
_JSON_TYPE = re.compile(rb"application/([\w.+-]+\+)?json\s*(;.*)?", re.IGNORECASE)


class Body:
    """ASGI middleware. `batch_paths` may take BATCH_LIMIT."""

    def __init__(
        self,
        app: ASGIApp,
        limit: int = LIMIT,
        batch_limit: int = BATCH_LIMIT,
        batch_paths: Collection[str] = (),
        read_seconds: float = READ_SECONDS,
    ):
        self.app = app
        self.limit = limit
        self.batch_limit = batch_limit
        self.batch_paths = frozenset(batch_paths)
        self.read_seconds = read_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _WITH_BODY:
            return await self.app(scope, receive, send)
        try:
            body = await self._read(scope, receive)
            if body is None:
                return None
            if body:
                check(body, _header(scope, b"content-type"))
        except Problem as problem:
            if problem.status == 413:
                await _discard(receive)
            return await response(problem, scope)(scope, receive, send)
        await self.app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        limit = self.batch_limit if scope["path"] in self.batch_paths else self.limit
        declared = _header(scope, b"content-length")
        if declared.isdigit() and (len(declared) > 15 or int(declared) > limit):
            raise _too_large(limit)
        try:
            async with asyncio.timeout(self.read_seconds):
                return await _collect(receive, limit)
        except TimeoutError:
            late = f"The body did not arrive within {self.read_seconds:g} s"
            raise Problem(408, late, headers={"Connection": "close"}) from None


async def _collect(receive: Receive, limit: int) -> bytes | None:
    """The whole body, or None when the client went away."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += bytes(message.get("body", b""))
        if len(body) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return body


async def _discard(receive: Receive) -> None:
    """Closing on unread bytes resets the connection, and the client never sees why."""
    left = DISCARD_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def check(body: bytes, content_type: bytes) -> None:
    if not _JSON_TYPE.fullmatch(content_type.strip()):
        raise Problem(415, "Send the body as JSON, with the header `content-type: application/json`")
    try:
        parsed = orjson.loads(body)
        # No deeper than it has brackets: most bodies need no walk.
        if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _deeper(parsed, MAX_DEPTH):
            raise _invalid(f"nested deeper than {MAX_DEPTH} levels")
        if _LONG_NUMBER.search(body):
            json.loads(body, parse_int=_int64)
    except orjson.JSONDecodeError as error:
        raise _invalid(str(error)) from None


def _deeper(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(_deeper(item, levels - 1) for item in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_deeper(item, levels - 1) for item in value)
    return False


def _int64(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise _invalid("an integer does not fit in 64 bits")
    return int(digits)


def _invalid(why: str) -> Problem:
    return Problem(400, f"The body is not acceptable JSON: {why}", code="invalid_json", error="Invalid JSON")


def _too_large(limit: int) -> Problem:
    return Problem(413, f"The body is larger than {limit} bytes", headers={"Connection": "close"})


def _header(scope: Scope, name: bytes) -> bytes:
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""
