"""The payment provider: charge and void, each once per key however often it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from booking_queue.domain.errors import BookingQueueError, PermanentError, RetryableError
from booking_queue.settings import Settings
from booking_queue.web.client import Rejected, ServiceClient, Unavailable

TIMEOUT_SECONDS = 5.0
MAX_CONNECTIONS = 64
_TRANSIENT = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Charge:
    id: str
    amount: int
    currency: str


@dataclass(frozen=True)
class Void:
    """`refunded`: minor units given back; 0 when there was no charge."""

    refunded: int


class PaymentProvider:
    """Raises RetryableError when the outcome is unknown (the key makes another try safe), else PermanentError."""

    def __init__(self, settings: Settings, timeout: float = TIMEOUT_SECONDS):
        self._client = ServiceClient(
            settings.providers_url, api_key=settings.api_key, deadline=timeout, max_connections=MAX_CONNECTIONS
        )

    async def charge(self, key: str, amount: int, currency: str, reference: str) -> Charge:
        body = {"key": key, "amount": amount, "currency": currency, "reference": reference}
        answer = await self._call("/payments", body)
        try:
            return Charge(str(answer["chargeId"]), int(answer["amount"]), str(answer["currency"]))
        except (TypeError, KeyError, ValueError):
            raise RetryableError("the payment provider's answer cannot be understood") from None

    async def void(self, key: str) -> Void:
        answer = await self._call("/payments/void", {"key": key})
        try:
            return Void(int(answer["refunded"]))
        except (TypeError, KeyError, ValueError):
            raise RetryableError("the payment provider's answer cannot be understood") from None

    async def close(self) -> None:
        await self._client.aclose()

    async def _call(self, path: str, body: dict[str, Any]) -> Any:
        try:
            return await self._client.post(path, body)
        except Unavailable as error:
            raise RetryableError(f"payment: {error}") from error
        except Rejected as error:
            raise _final(error) from error


def _final(error: Rejected) -> BookingQueueError:
    kind = RetryableError if error.status in _TRANSIENT else PermanentError
    return kind(f"payment refused: {error}")
