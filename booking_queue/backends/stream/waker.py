"""Blocks on the streams, only to be woken: reading is one script's work, over all levels."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from booking_queue.backends.stream.names import Names
from booking_queue.ledger.connection import connect
from booking_queue.settings import Settings

BLOCK_SECONDS = 5.0
PAUSE_SECONDS = 0.5


class Waker:
    """`wait_from` names the last ids that were seen; `woken` is called when something newer is there, with whether
    it is word of something else than entries. On a connection of its own, whose patience is longer than the block."""

    def __init__(self, settings: Settings, names: Names, woken: Callable[[bool], None]):
        self._redis = connect(settings, connections=1, answer_seconds=BLOCK_SECONDS + 5)
        self._keys = [*names.levels, names.wake]
        self._woken = woken
        self._from: Sequence[bytes] = ()
        self._armed = asyncio.Event()

    def wait_from(self, ids: Sequence[bytes]) -> None:
        self._from = ids
        self._armed.set()

    async def run(self) -> None:
        """Until cancelled. An error wakes as well: what it means is found out by reading."""
        while True:
            await self._armed.wait()
            ids = self._from
            try:
                found = await self._redis.execute_command(  # type: ignore[no-untyped-call]
                    "XREAD", "COUNT", 1, "BLOCK", int(BLOCK_SECONDS * 1000), "STREAMS", *self._keys, *ids
                )
            except Exception:
                self._armed.clear()
                self._woken(True)
                await asyncio.sleep(PAUSE_SECONDS * (0.5 + random.random()))
                continue
            if found:
                if self._from is ids:
                    self._armed.clear()
                self._woken(self._keys[-1] in _names_of(found))

    async def close(self) -> None:
        await self._redis.aclose()


def _names_of(found: object) -> set[str]:
    """The streams in an answer to XREAD, which is a map in RESP3 and a list of pairs in RESP2."""
    names = found.keys() if isinstance(found, dict) else [pair[0] for pair in found]  # type: ignore[attr-defined]
    return {name.decode() for name in names}
