"""How nginx serves the pages."""

from __future__ import annotations

import httpx

from tests.browser.site import assets
from tests.system.suites import Suite


def test_what_never_changes_is_fetched_once_and_nothing_foreign_may_run(suite: Suite) -> None:
    url = suite.url("frontend")
    page = httpx.get(url)
    files = assets(page.text)
    assert page.headers["cache-control"] == "no-cache"
    assert files
    for path in files:
        asset = httpx.get(url + path)
        assert asset.headers["cache-control"] == "max-age=31536000"
        assert asset.headers["content-encoding"] == "gzip"
        assert asset.headers["content-security-policy"] == page.headers["content-security-policy"]
