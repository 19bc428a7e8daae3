from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from booking_queue.domain.errors import PermanentError, RetryableError
from booking_queue.effects.payment import PaymentProvider
from booking_queue.settings import Settings
from tests.services.live_providers import Providers, live_providers

KEY = "b1:payment"


@pytest.fixture
async def providers(tmp_path: Path) -> AsyncIterator[Providers]:
    async with live_providers(tmp_path) as running:
        yield running


@pytest.fixture
async def payments(providers: Providers) -> AsyncIterator[PaymentProvider]:
    made = PaymentProvider(providers.settings, timeout=1)
    yield made
    await made.close()


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[PaymentProvider]:
    """A provider of another make, that gives this answer to everything."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    served = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = served.sockets[0].getsockname()[1]
    async with served:
        made = PaymentProvider(Settings(providers_url=f"http://127.0.0.1:{port}"), timeout=1)
        yield made
        await made.close()


def answer(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_a_charge_is_made_once(providers: Providers, payments: PaymentProvider) -> None:
    first = await payments.charge(KEY, 27_000, "EUR", "CONF-1")
    assert (first.amount, first.currency) == (27_000, "EUR") and first.id
    assert await payments.charge(KEY, 27_000, "EUR", "CONF-1") == first
    assert (await providers.get("/stats"))["maxChargesPerKey"] == 1


async def test_a_void_refunds_and_ends_the_key(payments: PaymentProvider) -> None:
    await payments.charge(KEY, 27_000, "EUR", "CONF-1")
    assert (await payments.void(KEY)).refunded == 27_000
    assert (await payments.void(KEY)).refunded == 27_000
    assert (await payments.void("other")).refunded == 0
    for key in (KEY, "other"):
        with pytest.raises(PermanentError, match="409"):
            await payments.charge(key, 27_000, "EUR", "CONF-1")


async def test_another_amount_is_final(payments: PaymentProvider) -> None:
    await payments.charge(KEY, 27_000, "EUR", "CONF-1")
    with pytest.raises(PermanentError, match="422"):
        await payments.charge(KEY, 1, "EUR", "CONF-1")


async def test_a_lost_answer_may_be_asked_for_again(providers: Providers, payments: PaymentProvider) -> None:
    await providers.faults(payment={"loseNext": 2})
    with pytest.raises(RetryableError):
        await payments.charge(KEY, 27_000, "EUR", "CONF-1")
    with pytest.raises(RetryableError):
        await payments.void("other")
    await payments.charge(KEY, 27_000, "EUR", "CONF-1")
    stats = await providers.get("/stats")
    assert (stats["charges"], stats["rawCalls"], stats["maxChargesPerKey"]) == (1, 3, 1)


async def test_a_failing_and_a_slow_provider_are_retryable(providers: Providers, payments: PaymentProvider) -> None:
    await providers.faults(payment={"failNext": 1})
    with pytest.raises(RetryableError, match="500"):
        await payments.charge(KEY, 27_000, "EUR", "CONF-1")
    await providers.faults(payment={"delayMs": 3000})
    started = asyncio.get_running_loop().time()
    with pytest.raises(RetryableError, match="within 1 s"):
        await payments.charge(KEY, 27_000, "EUR", "CONF-1")
    assert asyncio.get_running_loop().time() - started < 2.8


async def test_nobody_there_is_retryable() -> None:
    nobody = PaymentProvider(Settings(providers_url="http://127.0.0.1:1"))
    with pytest.raises(RetryableError):
        await nobody.charge(KEY, 1, "EUR", "x")
    await nobody.close()


@pytest.mark.parametrize("status", ["402 Payment Required", "400 Bad Request", "401 Unauthorized", "404 Not Found"])
async def test_refusals_are_final(status: str) -> None:
    async with answering(answer(status, b'{"error":"declined"}')) as payments:
        with pytest.raises(PermanentError, match="declined"):
            await payments.charge(KEY, 1, "EUR", "x")


@pytest.mark.parametrize("status", ["408 Request Timeout", "429 Too Many Requests", "502 Bad Gateway"])
async def test_what_passes_is_retryable(status: str) -> None:
    async with answering(answer(status, b"{}")) as payments:
        with pytest.raises(RetryableError):
            await payments.charge(KEY, 1, "EUR", "x")


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b"<html>", b'{"chargeId":"x","amount":"much"}'])
async def test_an_answer_nobody_understands_is_retryable(body: bytes) -> None:
    async with answering(answer("200 OK", body)) as payments:
        with pytest.raises(RetryableError):
            await payments.charge(KEY, 1, "EUR", "x")
        with pytest.raises(RetryableError):
            await payments.void(KEY)
