"""How a failure that was asked for is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path
from uuid import uuid4

import pytest

from booking_queue.domain.errors import SimulatedFailure
from booking_queue.domain.job import Backend, NewJob
from booking_queue.ledger.ledger import Claim
from booking_queue.settings import Settings
from tests.services.api_world import BOOKING, ledger_of
from tests.services.live_providers import live_providers
from worker_service.attempt import Tools, run_handler, tools_of

RQ = Backend.RQ


@pytest.fixture
async def tools(redis_settings: Settings, tmp_path: Path) -> AsyncIterator[Tools]:
    async with live_providers(tmp_path) as providers:
        theirs = {name: getattr(providers.settings, name) for name in ("providers_url", "smtp_host", "smtp_port")}
        ours = {"documents_dir": tmp_path, "lease_seconds": 60, "simulated_time_scale": 0}
        settings = redis_settings.model_copy(update={**theirs, **ours})
        async with ledger_of(settings) as (redis, _, _), AsyncExitStack() as stack:
            yield await tools_of(settings, redis, "w", stack)


async def failed_at_mail(tools: Tools, times: int) -> tuple[Claim, str]:
    data = BOOKING | {"simulate": {"failAt": "mail", "times": times}}
    job = NewJob(id=str(uuid4()), type="booking", data=data, backends=[RQ])
    await tools.ledger.accept(job)
    claim = await tools.ledger.claim(job.id, RQ, 1, "w")
    assert isinstance(claim, Claim)
    with pytest.raises(SimulatedFailure) as failure:
        await run_handler(claim, tools, nullcontext)
    return claim, str(failure.value)


async def test_it_counts_no_attempts_that_the_job_does_not_have(tools: Tools) -> None:
    """Nine are to fail, of a job that has three: it is not "attempt 1 of 9"."""
    assert (await failed_at_mail(tools, 9))[1] == "mail failed as asked (attempt 1; the first 9 fail)"
    assert (await failed_at_mail(tools, 1))[1] == "mail failed as asked (attempt 1; the first fails)"


async def test_the_step_that_is_told_is_the_one_that_failed(tools: Tools) -> None:
    """In the dead letter too: "document" beside "mail failed" is no help."""
    claim, reason = await failed_at_mail(tools, 9)
    assert await tools.ledger.bury(claim, reason)
    record = await tools.ledger.get(claim.job_id)
    assert record and record.legs[RQ].step == "mail"
    assert "mail" not in record.effects, "nobody has tried it"
