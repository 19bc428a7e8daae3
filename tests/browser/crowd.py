"""So many bookings that a list of them is a test: copies of a real one, put where the ledger keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from tests.browser.site import Site

USER = "crowd"
INDICES = ("bq:index:bookings", f"bq:index:user:{USER}")
ID = "%08x-0000-4000-8000-000000000000"
AT_ONCE = 5000

# Keys: the record to copy, then the indices. The first number and the last, where records are, when number 0 came.
COPY = f"""
for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local id = string.format('{ID}', number)
  redis.call('COPY', KEYS[1], ARGV[3] .. id)
  for place = 2, #KEYS do redis.call('ZADD', KEYS[place], ARGV[4] + number, id) end
end
"""
REMOVE = f"""
for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local id = string.format('{ID}', number)
  redis.call('UNLINK', ARGV[3] .. id)
  for place = 2, #KEYS do redis.call('ZREM', KEYS[place], id) end
end
"""


@contextmanager
def crowd(site: Site, count: int) -> Iterator[list[str]]:
    """Their ids, the oldest first: each accepted a millisecond before the next, all waiting for their time."""
    pattern = site.book(USER, delaySeconds=36_000, backends=["rq"])
    with redis.Redis.from_url(site.suite.redis_url()) as client:
        limit: Any = client.config_get("maxmemory")
        accepted: Any = client.zscore(INDICES[0], pattern)
        client.config_set("maxmemory", 0)
        try:
            _all(client, COPY, pattern, count, int(accepted) - count)
            yield [ID % number for number in range(count)]
        finally:
            _all(client, REMOVE, pattern, count, 0)
            client.config_set("maxmemory", limit["maxmemory"])


def _all(client: redis.Redis, script: str, pattern: str, count: int, oldest: int) -> None:
    keys = [f"bq:job:{pattern}", *INDICES]
    for first in range(0, count, AT_ONCE):
        last = min(first + AT_ONCE, count) - 1
        client.eval(script, len(keys), *keys, first, last, "bq:job:", oldest)
