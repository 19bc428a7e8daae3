"""`Idempotency-Key`: a request that is sent again is answered again, and its work is not done again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api_service.gateway import Gateway
from booking_queue.domain.errors import LedgerUnavailable, Overloaded
from booking_queue.ledger.idempotency import Attempt, Idempotency, KeyBusy, KeyReused, KeySpent
from booking_queue.web.problems import FieldError, Problem, conflict
from booking_queue.web.replies import JsonResponse

HEADER = "idempotency-key"
LONGEST = 255
OVER_SECONDS = 1.0  # to tell the ledger how it ended; the ledger may be what failed, and the client waits
LARGEST_ANSWER = 64 * 1024  # a larger one is made anew from the ledger

Make = Callable[[Callable[[int], str]], Awaitable[Response]]
"""Does the work, given how its things get their ids: by number, from 0."""


async def once(request: Request, gateway: Gateway, tenant: str, fresh_id: Callable[[int], str], make: Make) -> Response:
    """Raises 400, 409 and 422 as the draft says, and whatever `make` raises."""
    key = key_of(request)
    if key is None:
        return await make(fresh_id)
    attempt = await _begin(gateway.idempotency, request, tenant, key)
    if attempt.answer:
        return _again(attempt.answer)
    try:
        response = await make(attempt.new_id)
    except Exception as error:
        over = gateway.idempotency.forget if isinstance(error, Problem | Overloaded) else gateway.idempotency.leave
        with suppress(LedgerUnavailable, TimeoutError):  # then the key is free when its lease ends
            async with asyncio.timeout(OVER_SECONDS):
                await over(attempt)
        raise
    with suppress(LedgerUnavailable, TimeoutError):  # then the answer is made anew, should somebody ask
        async with asyncio.timeout(OVER_SECONDS):
            await _remember(gateway.idempotency, attempt, response)
    return response


def key_of(request: Request) -> str | None:
    """As a structured string, in quotes, or bare."""
    given = request.headers.get(HEADER)
    if given is None:
        return None
    key = given.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not key or len(key) > LONGEST or not key.isascii() or not key.isprintable():
        message = f"must be 1 to {LONGEST} printable ASCII characters"
        error = FieldError("Idempotency-Key", message, "invalid")
        raise Problem(400, f"Idempotency-Key {message}", errors=[error])
    return key


async def _begin(keys: Idempotency, request: Request, tenant: str, key: str) -> Attempt:
    try:
        whose = f"tenant:{tenant}" if tenant else "default"
        return await keys.begin(f"{whose}\n{request.url.path}", key, await request.body())
    except KeyReused:
        detail = "This Idempotency-Key was used with another body: take a new key for a new request"
        raise Problem(422, detail, code="idempotency_key_reused") from None
    except KeyBusy as busy:
        wait = str(-(-busy.wait_ms // 1000))
        detail = "The first request with this Idempotency-Key is still at work"
        raise Problem(409, detail, code="idempotency_key_busy", headers={"Retry-After": wait}) from None
    except KeySpent:
        detail = "What was done under this Idempotency-Key is known no more: look what there is, and take a new key"
        raise conflict(detail, "idempotency_key_spent") from None


async def _remember(keys: Idempotency, attempt: Attempt, response: Response) -> None:
    """But for an answer that is too large, or not the last word: it asks to be sent again."""
    body = bytes(response.body)
    if len(body) > LARGEST_ANSWER or "retry-after" in response.headers:
        return await keys.leave(attempt)
    place = response.headers.get("location", "")
    await keys.end(attempt, orjson.dumps([response.status_code, place, body.decode()]))


def _again(stored: bytes) -> Response:
    status, place, body = orjson.loads(stored)
    headers = {"Idempotency-Replayed": "true"} | ({"Location": place} if place else {})
    return Response(body, status, headers, media_type=JsonResponse.media_type)
