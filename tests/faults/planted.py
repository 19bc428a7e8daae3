"""`python -m tests.faults.planted` runs a service or a worker with a bug that the checker must see.

PLANTED_BUG names the bug, PLANTED_MODULE what is run. Nothing of the product knows of this: its classes and its Lua are
changed in this process alone, before it starts.
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from typing import Any

from booking_queue.ledger import script


class NothingChanged(RuntimeError):
    """The product's text is not what this bug was written for any more."""


def in_lua(*changes: tuple[str, str]) -> None:
    """Replaces text in every Lua source that is read from now on; each change must be found somewhere."""
    original, left = script.source, dict(changes)

    def changed(package: str, *names: str) -> str:
        lua = original(package, *names)
        for old, new in changes:
            if old in lua:
                lua = lua.replace(old, new)
                left.pop(old, None)
        return lua

    script.source = changed
    from booking_queue.backends import redis_stream, rq_queue  # noqa: F401, PLC0415 - they read theirs now

    changed("booking_queue.ledger", *script.CORE)
    if left:
        raise NothingChanged(f"not in the Lua any more: {', '.join(left)}")


def ack_before_processing() -> None:
    """The broker is told at once; a crash then loses the job."""
    from worker_service.processor import Processor  # noqa: PLC0415 - only what is asked for is loaded

    handle = Processor.handle

    async def too_early(self: Processor, delivery: Any) -> None:
        await delivery.ack(None)
        await handle(self, delivery)

    Processor.handle = too_early  # type: ignore[method-assign]


def auto_commit() -> None:
    """Kafka's own default: what was read counts as done, a little later."""
    from booking_queue.backends.kafka import member  # noqa: PLC0415

    names: Any = member
    consumer = names.AIOKafkaConsumer

    def committing(**options: Any) -> Any:
        return consumer(**options | {"enable_auto_commit": True, "auto_commit_interval_ms": 200})

    async def never(self: member.Member, lanes: Any) -> bool:
        return True

    names.AIOKafkaConsumer = committing
    member.Member._commit = never  # type: ignore[method-assign]


def highest_offset() -> None:
    """The offset behind the newest record that is done, whatever is still at work below it."""
    from booking_queue.backends.kafka.lane import Lane  # noqa: PLC0415

    finish = Lane.finish

    def finished(self: Any, record: Any, done: bool) -> None:
        finish(self, record, done)
        if done:
            self.highest = max(getattr(self, "highest", 0), record.offset + 1)

    Lane.finish = finished  # type: ignore[method-assign]
    Lane.watermark = property(lambda self: getattr(self, "highest", None))  # type: ignore[assignment]


def maxlen() -> None:
    """A stream kept short by MAXLEN throws away what nobody has read."""
    in_lua(
        ("'XADD', name, NOW .. '-'", "'XADD', name, 'MAXLEN', 100, NOW .. '-'"),
    )


def no_fencing() -> None:
    """Whoever held a lease once may write for ever."""
    in_lua(
        ("return leg.state == 'active' and leg.token == token", "return true"),
        ("and fx and fx.state == 'claimed' and fx.backend == backend and fx.token == token", ""),
    )


def unguarded_xclaim() -> None:
    """A heartbeat that claims its entry without asking whose it is by now."""
    in_lua(("local held = mine(a[1], a[2], a[3])", "local held = true"))


def client_retries() -> None:
    """A client that sends a write again when its answer was lost, and no guard against the second one."""
    in_lua(("if not waits then return false, 'sent', leg end", ""))
    from booking_queue.domain.errors import LedgerUnavailable  # noqa: PLC0415

    once = script.Scripts._run

    async def again(self: script.Scripts, batch: list[script.Operation]) -> Any:
        for _ in range(3):
            try:
                return await once(self, batch)
            except LedgerUnavailable:
                continue
        return await once(self, batch)

    script.Scripts._run = again  # type: ignore[method-assign]


def bury_on_first_failure() -> None:
    """No second attempt."""
    from booking_queue.domain.retry import Bury, RetryPolicy, describe  # noqa: PLC0415

    def at_once(self: RetryPolicy, error: BaseException, attempt: int, rand: Any = None) -> Bury:
        return Bury(f"failed: {describe(error)}")

    RetryPolicy.decide = at_once  # type: ignore[method-assign]


def new_keys() -> None:
    """Each attempt charges under a key of its own, so that the provider cannot know it for the same."""
    from uuid import uuid4  # noqa: PLC0415

    from booking_queue.handlers import booking  # noqa: PLC0415

    names: Any = booking
    same = names.effect_key
    names.effect_key = lambda *of: f"{same(*of)}:{uuid4().hex}"


BUGS: dict[str, Callable[[], None]] = {
    "ack before processing": ack_before_processing,
    "auto-commit": auto_commit,
    "MAXLEN 100": maxlen,
    "no fencing": no_fencing,
    "unguarded XCLAIM": unguarded_xclaim,
    "client retry on XADD": client_retries,
    "client retry on RPUSH": client_retries,
    "commit of the highest offset": highest_offset,
    "bury on first failure": bury_on_first_failure,
    "a new key at each attempt": new_keys,
}


if __name__ == "__main__":
    BUGS[os.environ["PLANTED_BUG"]]()
    runpy.run_module(os.environ["PLANTED_MODULE"], run_name="__main__", alter_sys=True)
