"""/docs: Swagger UI from the package fastapi-swagger, served by the service itself.

FastAPI's own page loads it from a CDN, with an inline script: blank without Internet, and a stranger's code with it.
"""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from booking_queue.web.auth import needs
from booking_queue.web.problems import not_found

# Addresses are relative, so that the page also works behind a prefix. Without `style-src 'unsafe-inline'`:
# what Swagger UI styles inline it does through the DOM.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_START = """SwaggerUIBundle({ url: "openapi.json", dom_id: "#ui", deepLinking: true, validatorUrl: null });\n"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="docs/favicon-32x32.png">
<title>{title}</title>
</head>
<body>
<div id="ui"></div>
<noscript>This page needs JavaScript; <a href="openapi.json">openapi.json</a> does not.</noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

router = APIRouter(include_in_schema=False)


@router.get("/docs")
@needs(None)
async def docs(request: Request) -> Response:
    return HTMLResponse(_PAGE.format(title=escape(request.app.title)), headers=_HEADERS)


@router.get("/docs/start.js")
@needs(None)
async def start() -> Response:
    return Response(_START, headers=_HEADERS, media_type="text/javascript")


@router.get("/docs/{name}")
@needs(None)
async def asset(name: str) -> Response:
    if name not in _ASSETS:
        raise not_found("There is no such file")
    return FileResponse(_folder() / name, headers={"Cache-Control": "max-age=3600"}, media_type=_ASSETS[name])


@cache
def _folder() -> Path:
    """Where the package is, without importing it: only its files are wanted."""
    spec = find_spec("fastapi_swagger")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("fastapi-swagger is not installed: make up, or pip install -r lock/runtime.txt")
    return Path(spec.origin).parent / "resources"
