"""Confirmations that come late: a worker can be faster than the word that its job was published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from booking_queue.domain.job import State
from booking_queue.settings import Settings
from tests.unit.kafka_desk import KAFKA, RECEIPT, Desk, desk_of


@pytest.fixture
async def desk(redis_settings: Settings) -> AsyncIterator[Desk]:
    async with desk_of(redis_settings) as desk:
        yield desk


async def test_the_word_of_a_publish_may_come_after_the_job_was_buried(desk: Desk) -> None:
    """A worker can be that fast. The row then stands for the dead letter and must stay."""
    leg = await desk.job()
    await desk.ledger.bury(await desk.claim(leg), "reason")
    await desk.ledger.published(leg, KAFKA, RECEIPT)
    assert await desk.in_outbox(leg)
    known = await desk.leg(leg)
    assert (known.state, known.receipt) == (State.DEAD, RECEIPT)
    assert known.enqueued == known.started
    assert (await desk.outbound.send(leg)).state is State.DEAD
    assert not await desk.in_outbox(leg)


async def test_the_word_of_a_publish_may_come_after_the_job_was_retried(desk: Desk) -> None:
    leg = await desk.job()
    again = await desk.retried(leg, 1000)
    await desk.ledger.published(leg, KAFKA, RECEIPT)
    assert (await desk.leg(leg)).receipt == RECEIPT
    assert await desk.in_outbox(again)


async def test_a_confirmation_after_the_deadline_still_counts(desk: Desk) -> None:
    desk.notes.slow = True
    fresh, failing = await desk.job(), await desk.job()
    retried = await desk.retried(failing, 1000)
    assert (await desk.outbound.send(fresh)).state is State.PENDING
    assert (await desk.outbound.send(retried)).state is State.PENDING
    for confirm in desk.notes.confirmations:
        confirm()
    await asyncio.wait(desk.outbound._noting)
    assert not await desk.in_outbox(fresh)
    assert not await desk.in_outbox(retried)
    known = await desk.leg(fresh)
    assert (known.state, (known.receipt or {})["offset"]) == (State.QUEUED, 42)


async def test_the_word_of_a_retry_may_come_after_the_job_was_buried(desk: Desk) -> None:
    desk.notes.slow = True
    retried = await desk.retried(await desk.job(), 1)
    await asyncio.sleep(0.01)
    desk.notes.slow = False
    await desk.ledger.bury(await desk.claim(retried), "reason")
    await desk.ledger.published(retried, KAFKA, None, State.RETRYING)
    assert await desk.in_outbox(retried)
