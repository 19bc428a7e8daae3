"""The pages that services serve load nothing from elsewhere, and work without Internet."""

from __future__ import annotations

import re

import pytest

from booking_queue.settings import Settings
from booking_queue.web.service import create_app
from tests.house.tree import ROOT
from tests.services.live_app import live

LOADED = re.compile(r"""(?:src|href|action)\s*=\s*["']([^"']+)""")
ADDRESS = re.compile(r"(?:https?:)?//[\w.-]+\.\w")


async def test_docs_come_from_the_service_alone() -> None:
    async with live(create_app("test", Settings(), default_port=0)) as server:
        page = await server.http.get("/docs")
        assert page.status_code == 200 and not ADDRESS.search(page.text) and "<title>booking-queue test" in page.text
        assert re.search(r"<script(?! src=)", page.text) is None, "an inline script"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        loaded = LOADED.findall(page.text)
        assert {"docs/swagger-ui-bundle.js", "docs/start.js", "docs/swagger-ui.css", "openapi.json"} <= set(loaded)
        for path in loaded:
            answer = await server.http.get(f"/{path}")
            assert answer.status_code == 200 and answer.content, path
            assert "javascript" in answer.headers["content-type"] or not path.endswith(".js")


@pytest.mark.parametrize("path", ["/docs/", "/docs/x.js", "/docs/..%2Fmain.py", "/docs/../main.py", "/redoc"])
async def test_docs_serve_nothing_else(path: str) -> None:
    async with live(create_app("test", Settings(), default_port=0)) as server:
        assert (await server.http.get(path)).status_code == 404


def test_the_dashboard_names_no_other_host() -> None:
    sources = [ROOT / "frontend" / "index.html"]
    for kind in ("*.ts", "*.tsx", "*.css", "*.svg"):
        sources += [path for at in ("src", "public") for path in (ROOT / "frontend" / at).rglob(kind)]
    assert len(sources) > 20
    texts = {path: path.read_text().replace("http://www.w3.org/", "") for path in sources if ".test." not in path.name}
    assert [path.name for path, text in texts.items() if ADDRESS.search(text)] == []
