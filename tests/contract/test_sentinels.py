"""REDIS_SENTINELS: the primary dies, another takes its place, and the ledger goes on with it by itself."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.ledger.connection import check, connect
from booking_queue.settings import Settings
from local.redis_server import RedisMissing, find_redis
from tests.brokers import missing
from tests.contract.lanes import lane_of
from tests.contract.worker import eventually
from tests.sentinels import MASTER, Watched


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    try:
        find_redis()
    except RedisMissing as error:
        missing(str(error))
    watched = Watched(tmp_path, secrets.token_urlsafe(16))
    try:
        watched.start()
        yield watched
    finally:
        watched.kill()


@pytest.mark.parametrize("kind", ["rq", "redisStreams"])
async def test_the_ledger_goes_on_after_a_failover(kind: str, watched: Watched, name_prefix: str) -> None:
    settings = Settings(
        redis_host="127.0.0.1",
        redis_port=1,  # the sentinels tell
        redis_password=watched.primary.password,
        redis_sentinels=watched.places,
        redis_master=MASTER,
        key_prefix=name_prefix.rstrip("-"),
        name_prefix=name_prefix,
        history_file=None,
        lease_seconds=1,
        heartbeat_seconds=0.3,
    )
    async with lane_of(kind, settings) as lane:
        await lane.worker()
        before = await lane.send()
        await lane.reach(before, "completed")
        waiting = await lane.accept()
        with watched.primary.client() as client:  # what no replica has yet is what a failover loses
            assert client.wait(1, 10_000) == 1
        watched.primary.kill()
        watched.sentinels[0].kill()

        async def sent() -> str | None:
            try:
                return await lane.send()
            except (LedgerUnavailable, RedisError):
                return None

        after: str = await eventually(sent, "another primary to take a job")
        await lane.reach(after, "completed")
        assert (await lane.leg(before)).state == "completed"
        await lane.publish(waiting)
        await lane.reach(waiting, "completed")

        watched.primary.start()  # as a primary, which it is no more

        async def demoted() -> bool:
            with watched.primary.client() as client:
                told: Any = client.info("replication")
            return bool(told["role"] == "slave" and told["master_link_status"] == "up")

        await eventually(demoted, "the old primary to follow the new one")
        await check(lane.redis)
        await lane.reach(await lane.send(), "completed")


async def test_a_sentinel_that_is_away_is_asked_once(watched: Watched) -> None:
    """redis-py asks again and again by itself, for seconds, while the next one knows."""
    asked = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.transport.abort()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as away:
        port = away.sockets[0].getsockname()[1]
        places = f"127.0.0.1:{port},{watched.places}"
        redis: Any = connect(
            Settings(redis_sentinels=places, redis_master=MASTER, redis_password=watched.primary.password)
        )
        assert await redis.ping()
        await redis.aclose()
    assert asked == 1
