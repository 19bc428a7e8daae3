"""Connections to the Redis that holds the ledger, and what is asked of it."""

from __future__ import annotations

from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.settings import Settings

ANSWER_SECONDS = 5.0


def connect(settings: Settings, *, connections: int = 8, answer_seconds: float = ANSWER_SECONDS) -> Redis:
    """A client that never repeats a command by itself: a write whose answer was lost may have taken effect.

    A reader that blocks takes a client of its own, with `answer_seconds` longer than its BLOCK.
    """
    options: dict[str, Any] = {
        "username": settings.redis_username,
        "password": settings.redis_password,
        "socket_timeout": answer_seconds,
        "socket_connect_timeout": 2.0,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
    }
    if settings.redis_sentinels:
        places = [place.strip().rsplit(":", 1) for place in settings.redis_sentinels.split(",")]
        sentinel = Sentinel([(host, int(port)) for host, port in places], socket_timeout=2.0)  # type: ignore[no-untyped-call]
        return sentinel.master_for(settings.redis_master, **options)  # type: ignore[no-any-return]
    pool = BlockingConnectionPool(
        host=settings.redis_host,
        port=settings.redis_port,
        max_connections=connections,
        timeout=answer_seconds,
        **options,
    )
    return Redis(connection_pool=pool)


class ClusterRefused(LedgerUnavailable):
    """No waiting mends it: a service that finds it at start does not start."""


async def check(redis: Redis) -> None:
    """Raises LedgerUnavailable, with the remedy, where this Redis cannot hold a ledger."""
    info = await redis.info("server")
    if "cluster" in (info.get("redis_mode"), info.get("server_mode")):  # the second is Valkey's name for it
        raise ClusterRefused(
            "Redis Cluster is not supported: one script changes the ledger and the broker's keys together, "
            "and they would live on different nodes. Use one primary, or REDIS_SENTINELS."
        )
    try:
        policy = (await redis.config_get("maxmemory-policy")).get("maxmemory-policy")
    except ResponseError:
        return  # CONFIG is often forbidden on managed servers; their policy is for their owner to set
    if policy not in (None, "noeviction"):
        raise LedgerUnavailable(f"maxmemory-policy is {policy}: Redis would throw jobs away. Set it to noeviction.")
