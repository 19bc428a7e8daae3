"""What a user does with curl."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import httpx

from tests.system.suites import Suite

ENDED = {"confirmed", "rejected", "failed", "cancelled"}
PATIENCE = 120.0
BACKENDS = ("rq", "redisStreams", "kafka")

_users = itertools.count(1)


class Client:
    def __init__(self, suite: Suite):
        self.suite = suite
        self.http = httpx.AsyncClient(timeout=10, limits=httpx.Limits(max_connections=32))

    async def post(self, backends: Sequence[str] = BACKENDS, **more: Any) -> httpx.Response:
        body = {
            "userId": f"user-{next(_users)}",
            "hotelId": "system",
            "checkIn": "2027-03-01",
            "checkOut": "2027-03-02",
            "backends": list(backends),
            **more,
        }
        return await self.http.post(f"{self.suite.url('api')}/api/bookings", json=body)

    async def book(self, backends: Sequence[str] = BACKENDS, **more: Any) -> str:
        answer = await self.post(backends, **more)
        assert answer.status_code == 202, answer.text
        booking: str = answer.json()["bookingId"]
        return booking

    async def status(self, booking: str, *, healing: bool = False) -> dict[str, Any]:
        """`healing`: Redis was away. Each connection that broke with it fails one more request when it is used again:
        such a 503 is asked again, as its Retry-After says."""
        url = f"{self.suite.url('api')}/api/bookings/{booking}/status"
        answer = await self.http.get(url)
        while healing and answer.status_code == 503:
            assert "retry-after" in answer.headers
            await asyncio.sleep(0.2)
            answer = await self.http.get(url)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def legs_ended(self, booking: str, seconds: float = PATIENCE, *, healing: bool = False) -> dict[str, Any]:
        """The status once every leg has an outcome."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    found = await self.status(booking, healing=healing)
                    if all(leg["state"] in ("completed", "dead", "cancelled") for leg in found["status"].values()):
                        return found
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{seconds:g} s and still: {await self.status(booking)}") from None

    async def active(self, booking: str) -> dict[str, Any]:
        """The status once some leg runs."""
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await self.status(booking)
                if any(leg["state"] == "active" for leg in found["status"].values()):
                    return found
                await asyncio.sleep(0.02)

    async def provider_stats(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.http.get(f"{self.suite.url('providers')}/stats")).json()
        return found

    async def charges(self, booking: str) -> dict[str, Any]:
        found: dict[str, Any] = (
            await self.http.get(f"{self.suite.url('providers')}/payments/{booking}:payment")
        ).json()
        return found

    async def close(self) -> None:
        await self.http.aclose()
