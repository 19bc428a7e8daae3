"""Whatever a client sends, to any route of any service: no 500, no hang, and answers that are as the documents say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest_asyncio

from api_service import app as api
from booking_queue.settings import Settings
from kafka_service import app as kafka
from monitoring_service import app as monitoring
from queue_service import app as queue
from stream_service import app as stream
from tests.services.fuzz import fuzz
from tests.services.live_app import Live, live
from tests.services.live_providers import live_providers

KEY = "the-operators-key-of-this-test"
FEWEST = 100  # requests a service: or its document was not understood
BEHIND = {"queue": queue, "stream": stream, "kafka": kafka}


@pytest_asyncio.fixture
async def suite(settings: Settings, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """Where each service is: all of them, each talking to the real others."""
    async with AsyncExitStack() as stack:
        providers = await stack.enter_async_context(live_providers(tmp_path, auth="required", api_key=KEY))
        urls = {"providers_url": providers.url}
        changes = {"auth": "required", "api_key": KEY, "providers_url": providers.url, "smtp_port": providers.smtp_port}
        ours = settings.model_copy(update=changes)
        for name, module in BEHIND.items():
            service: Live = await stack.enter_async_context(live(module.build(ours)))
            urls[f"{name}_service_url"] = service.url
        ours = ours.model_copy(update=urls)
        urls["api_url"] = (await stack.enter_async_context(live(api.build(ours)))).url
        urls["monitoring_url"] = (await stack.enter_async_context(live(monitoring.build(ours)))).url
        yield urls


async def test_no_answer_of_any_service_is_wrong(suite: dict[str, str], tmp_path: Path) -> None:
    """Each parameter and each field at and beyond its bounds; `make faults FULL=1` goes on at random."""
    found = await fuzz(list(suite.values()), tmp_path, "examples,coverage", key=KEY)
    assert not found.wrong, found.wrong
    assert min(found.requests.values()) >= FEWEST, found.requests
