"""How many clients follow events at once, so that they leave each other, and the gateway, room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from booking_queue.web.problems import too_many, unavailable

MOST = 1000
MOST_OF_A_TENANT = 200
RETRY_SECONDS = 10


class Places:
    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    def must_have_one(self, tenant: str) -> None:
        """Raises a 429 or 503. To be asked right before one is taken. '': no tenant's, without a bound of its own."""
        if tenant and self._of[tenant] >= MOST_OF_A_TENANT:
            raise too_many(f"As many clients as a tenant may have ({MOST_OF_A_TENANT}) follow events", RETRY_SECONDS)
        if self._of.total() >= MOST:
            raise unavailable("As many clients as this gateway serves follow events", RETRY_SECONDS)

    @contextmanager
    def taken(self, tenant: str) -> Iterator[None]:
        self._of[tenant] += 1
        try:
            yield
        finally:
            self._of -= Counter({tenant: 1})  # keeps no zeros
