"""So many bookings that a list of them is a test: copies of a real one, put where the ledger keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from tests.browser.site import Site

USER = "crowd"
INDICES = ("bq:index:bookings", f"bq:index:user:{USER}")
AT_ONCE = 5000


@contextmanager
def crowd(site: Site, count: int) -> Iterator[list[str]]:
    """Their ids, the oldest first: each accepted a millisecond before the next, all waiting for their time."""
    pattern = site.book(USER, delaySeconds=36_000, backends=["rq"])
    ids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(count)]
    with redis.Redis.from_url(site.suite.redis_url()) as client:
        limit: Any = client.config_get("maxmemory")
        client.config_set("maxmemory", 0)
        try:
            _copy(client, pattern, ids)
            yield ids
        finally:
            _remove(client, ids)
            client.config_set("maxmemory", limit["maxmemory"])


def _copy(client: redis.Redis, pattern: str, ids: list[str]) -> None:
    record: Any = client.dump(f"bq:job:{pattern}")
    accepted: Any = client.zscore(INDICES[0], pattern)
    oldest = accepted - len(ids)
    for first in range(0, len(ids), AT_ONCE):
        portion = ids[first : first + AT_ONCE]
        pipe = client.pipeline(transaction=False)
        for each in portion:
            pipe.restore(f"bq:job:{each}", 0, record)
        for index in INDICES:
            pipe.zadd(index, {each: oldest + first + place for place, each in enumerate(portion)})
        pipe.execute()


def _remove(client: redis.Redis, ids: list[str]) -> None:
    for first in range(0, len(ids), AT_ONCE):
        portion = ids[first : first + AT_ONCE]
        pipe = client.pipeline(transaction=False)
        pipe.unlink(*(f"bq:job:{each}" for each in portion))
        for index in INDICES:
            pipe.zrem(index, *portion)
        pipe.execute()
