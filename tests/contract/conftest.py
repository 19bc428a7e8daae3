"""The lane under test, once a backend."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from booking_queue.settings import Settings
from tests.contract.lanes import Lane, lane_of

KINDS = ("memory", "rq", "redisStreams", "kafka")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lane_settings(request: pytest.FixtureRequest, kind: str) -> Settings:
    """Only the lane that needs a Kafka waits for one."""
    found: Settings = request.getfixturevalue("settings" if kind == "kafka" else "redis_settings")
    return found


@pytest.fixture
async def lane(kind: str, lane_settings: Settings) -> AsyncIterator[Lane]:
    async with lane_of(kind, lane_settings) as lane:
        yield lane
