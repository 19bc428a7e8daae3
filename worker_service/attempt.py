"""What every attempt needs, and the handler's own part of it: the same in the worker and in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from booking_queue.domain.errors import LeaseLost, PermanentError, RetryableError
from booking_queue.effects.documents import Documents
from booking_queue.effects.mail import Mailer
from booking_queue.effects.payment import PaymentProvider
from booking_queue.handlers import registry
from booking_queue.handlers.base import Handler, Outside, Run
from booking_queue.ledger.effects import Effects
from booking_queue.ledger.ledger import Claim, Ledger, dumps
from booking_queue.ledger.script import Scripts
from booking_queue.ledger.watch import EffectWatch
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings


class UnknownType(RetryableError):
    """Another worker, of a newer version, may know it."""


@dataclass(frozen=True)
class Tools:
    """Wired once."""

    settings: Settings
    ledger: Ledger
    effects: Effects
    watch: EffectWatch
    outside: Outside
    handlers: Mapping[str, Handler]
    metrics: Metrics
    worker_id: str


async def tools_of(settings: Settings, redis: Redis, worker_id: str, stack: AsyncExitStack, lua: str = "") -> Tools:
    """`lua`: that of the backends whose verbs are to be called too."""
    scripts = Scripts(redis, settings, extra=lua)
    payments, mails = PaymentProvider(settings), Mailer(settings)
    stack.push_async_callback(payments.close)
    stack.push_async_callback(mails.close)
    return Tools(
        settings=settings,
        ledger=Ledger(scripts),
        effects=Effects(scripts),
        watch=EffectWatch(redis, settings),
        outside=Outside(payments, Documents(settings.documents_dir), mails),
        handlers=registry(),
        metrics=Metrics(),
        worker_id=worker_id,
    )


def seconds_for(claim: Claim, handler: Handler | None) -> float:
    """How long an attempt may take."""
    return (claim.options.timeout or (handler.timeout_ms if handler else 0)) / 1000


async def run_handler(claim: Claim, tools: Tools, parked: Callable[[], AbstractAsyncContextManager[None]]) -> Any:
    """The job's result, which is JSON. Raises whatever its handler does, LeaseLost, RetryableError when it takes too
    long, and PermanentError for a result that is none."""
    handler = tools.handlers.get(claim.type)
    if handler is None:
        known = ", ".join(sorted(tools.handlers))
        raise UnknownType(f"no handler for type {claim.type!r}; this worker knows: {known}")
    payload = handler.parse(claim.data)

    async def progress(step: str, percent: int) -> None:
        if not await tools.ledger.progress(claim, step, percent):
            raise LeaseLost(claim.job_id)

    run = Run(
        claim=claim,
        worker_id=tools.worker_id,
        settings=tools.settings,
        effects=tools.effects,
        watch=tools.watch,
        outside=tools.outside,
        progress=progress,
        parked=parked,
    )
    limit = seconds_for(claim, handler)
    try:
        async with asyncio.timeout(limit):
            result = await handler.run(run, payload)
    except TimeoutError as error:
        raise RetryableError(f"took longer than its limit of {limit:g} s") from error
    try:
        dumps(result)
    except TypeError as error:
        raise PermanentError(f"its result is no JSON: {error}") from error
    return result
