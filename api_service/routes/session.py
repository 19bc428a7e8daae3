"""How the page gets in where AUTH=required: the API key once, a cookie from then on."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from api_service.answers import SessionAnswer
from booking_queue import logs
from booking_queue.clock import iso
from booking_queue.domain.access import OPERATOR, Key
from booking_queue.settings import Settings
from booking_queue.web import session
from booking_queue.web.auth import by_secret, by_session
from booking_queue.web.problems import Problem, conflict, too_many
from booking_queue.web.replies import JsonResponse

log = logs.get("session")


class NewSession(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)
    api_key: str = Field(min_length=1, max_length=1000)


def router(settings: Settings) -> APIRouter:
    routes = APIRouter(tags=["session"])
    attempts = session.Attempts()

    @routes.get(session.PATH, response_model=SessionAnswer)
    async def get_session(request: Request) -> Response:
        """Whether a key is needed here, until when this browser's session holds, and what its key may."""
        if settings.auth != "required":
            return _said(False, None, OPERATOR)
        held = session.read(settings.api_key, session.token_of(request.scope))
        key = await by_session(request.scope, held)
        return _said(True, held.expires if held and key else None, key)

    @routes.post(session.PATH, response_model=SessionAnswer)
    async def open_session(body: NewSession, request: Request) -> Response:
        """Takes an API key, gives a cookie that holds for twelve hours."""
        if settings.auth != "required":
            raise conflict("No key is needed: AUTH=open")
        _from_our_page(request, settings)
        peer = request.client.host if request.client else ""
        if wait := attempts.wait_seconds(peer):
            raise too_many("Too many wrong keys; wait a minute", wait)
        key = await by_secret(request.scope, body.api_key.encode(), settings.api_key)
        if key is None:
            attempts.failed(peer)
            log.warning("wrong_key", peer=peer)
            raise Problem(401, "That is no API key of ours", error="Unauthorized")
        token = session.issue(settings.api_key, key.id)
        held = session.read(settings.api_key, token)
        return _with_cookie(_said(True, held.expires if held else None, key), token, request)

    @routes.delete(session.PATH, response_model=SessionAnswer)
    async def forget_session(request: Request) -> Response:
        """This browser forgets the cookie. One that was copied holds until it expires, or its key is revoked."""
        _from_our_page(request, settings)
        required = settings.auth == "required"
        return _with_cookie(_said(required, None, None if required else OPERATOR), "", request)

    return routes


def _said(required: bool, until: int | None, key: Key | None) -> Response:
    body: SessionAnswer = {
        "required": required,
        "expiresAt": iso(until * 1000) if until else None,
        "tenant": key.tenant if key else "",
        "scopes": sorted(key.scopes) if key else [],
    }
    return JsonResponse(body, headers={"Cache-Control": "no-store"})


def _from_our_page(request: Request, settings: Settings) -> None:
    """A program sends no Origin, and needs no cookie either."""
    if session.origin(request.scope) and not session.from_our_page(request.scope, settings.frontend_url):
        raise session.FOREIGN


def _with_cookie(response: Response, token: str, request: Request) -> Response:
    # The proxy in front speaks plain HTTP to us; the browser's Origin tells how it came.
    secure = session.origin(request.scope).startswith("https://")
    response.headers["Set-Cookie"] = session.cookie(token, secure=secure)
    return response
