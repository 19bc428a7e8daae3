"""JSON out, by orjson."""

from __future__ import annotations

import json
from typing import Any

import orjson
from starlette.responses import Response


def dumps(content: Any) -> bytes:
    try:
        return orjson.dumps(content)
    except TypeError:  # integers beyond 64 bits and lone surrogates, which only the slow encoder can write
        return json.dumps(content, default=str).encode()


class JsonResponse(Response):
    """Return it from a route to skip FastAPI's own walk over the content."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return dumps(content)
