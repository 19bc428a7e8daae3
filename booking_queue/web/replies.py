"""JSON out, by orjson."""

from __future__ import annotations

import json
from typing import Any

import orjson
from starlette.responses import JSONResponse

MOST_LEVELS = 64


def dumps(content: Any) -> bytes:
    try:
        return orjson.dumps(content)
    except TypeError:  # what a stranger put on a broker: integers beyond 64 bits, lone surrogates, endless nesting
        return json.dumps(_shallow(content), default=str).encode()


def _shallow(content: Any, levels: int = MOST_LEVELS) -> Any:
    if levels == 0 and isinstance(content, dict | list | tuple):
        return "… nested too deeply to show"
    if isinstance(content, dict):
        return {str(name): _shallow(value, levels - 1) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_shallow(value, levels - 1) for value in content]
    return content


class JsonResponse(JSONResponse):
    """Return it from a route to skip FastAPI's own walk over the content. Of no other kind FastAPI documents JSON."""

    def render(self, content: Any) -> bytes:
        return dumps(content)
