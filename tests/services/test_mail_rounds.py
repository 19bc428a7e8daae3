"""What the guest reads of a booking that failed, was refunded and told so, and is started over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from api_service.compensator import Compensator
from booking_queue.domain.errors import SimulatedFailure
from booking_queue.domain.job import Backend, NewJob
from booking_queue.effects.mail import Mailer
from booking_queue.effects.payment import PaymentProvider
from booking_queue.ledger.compensation import Compensations
from booking_queue.ledger.ledger import Claim, LegRef
from booking_queue.settings import Settings
from tests.services.api_world import BOOKING, ledger_of
from tests.services.live_providers import Providers, live_providers
from worker_service.attempt import Tools, run_handler, tools_of

RQ = Backend.RQ
CONFIRMED, FAILED = "Your booking is confirmed", "Your booking could not be completed"


@pytest.fixture
async def providers(tmp_path: Path) -> AsyncIterator[Providers]:
    async with live_providers(tmp_path) as found:
        yield found


@pytest.fixture
async def tools(redis_settings: Settings, providers: Providers, tmp_path: Path) -> AsyncIterator[Tools]:
    theirs = {name: getattr(providers.settings, name) for name in ("providers_url", "smtp_host", "smtp_port")}
    ours = {"documents_dir": tmp_path, "lease_seconds": 60, "simulated_time_scale": 0}
    settings = redis_settings.model_copy(update={**theirs, **ours})
    async with ledger_of(settings) as (redis, _, _), AsyncExitStack() as stack:
        yield await tools_of(settings, redis, "w", stack)


async def run(tools: Tools, booking_id: str, generation: int) -> tuple[Claim, Any]:
    claim = await tools.ledger.claim(booking_id, RQ, generation, "w")
    assert isinstance(claim, Claim)
    try:
        return claim, await run_handler(claim, tools, nullcontext)
    except SimulatedFailure as error:
        return claim, error


async def subjects(providers: Providers) -> list[str]:
    """Oldest first, each as often as it is in the inbox."""
    return [mail["subject"].partition(":")[0] for mail in reversed((await providers.get("/mails"))["items"])]


async def test_the_last_word_is_how_the_last_round_ended(tools: Tools, providers: Providers) -> None:
    booking_id, data = str(uuid4()), BOOKING | {"simulate": {"failAt": "inventory", "times": 10}}
    await tools.ledger.accept(NewJob(id=booking_id, type="booking", data=data, backends=[RQ]))
    claim, failure = await run(tools, booking_id, 1)
    assert isinstance(failure, SimulatedFailure)
    assert await tools.ledger.bury(claim, "no luck")
    payments, mails = PaymentProvider(tools.settings), Mailer(tools.settings)
    scripts = tools.ledger.scripts
    compensator = Compensator(tools.ledger, Compensations(scripts), payments, mails, tools.metrics)
    await compensator.turn()
    await compensator.tell()
    await payments.close()
    await mails.close()
    assert await subjects(providers) == [CONFIRMED, FAILED]
    leg = await tools.ledger.redrive(booking_id, RQ)
    assert isinstance(leg, LegRef)
    _, result = await run(tools, booking_id, leg.generation)
    assert result["status"] == "confirmed"
    assert await subjects(providers) == [CONFIRMED, FAILED, CONFIRMED]
