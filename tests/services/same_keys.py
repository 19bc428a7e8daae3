"""Many clients send the same requests under the same idempotency keys, and some of them another body."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

REUSED = (422, "idempotency_key_reused")
AGAIN_SECONDS = 0.05


@dataclass(frozen=True)
class Told:
    """What one post was answered in the end. `guests` is what some of them changed."""

    key: str
    guests: int
    status: int
    code: str
    booking: str


async def race(http: httpx.AsyncClient, booking: Mapping[str, object], keys: int, posts: int) -> list[Told]:
    """Each key `posts` times at once, all keys mixed, a tenth of the posts altered; asked again while it is at work."""
    room = asyncio.Semaphore(50)

    async def post(key: str, guests: int) -> Told:
        async with room:
            while True:
                body, headers = {**booking, "guests": guests}, {"Idempotency-Key": key}
                answer = await http.post("/api/bookings", json=body, headers=headers)
                told = answer.json()
                if told.get("code") != "idempotency_key_busy":
                    break
                await asyncio.sleep(AGAIN_SECONDS)
        return Told(key, guests, answer.status_code, told.get("code", ""), told.get("bookingId", ""))

    asked = [(f"key-{key}", 2 if post % 10 == 9 else 1) for key in range(keys) for post in range(posts)]
    random.shuffle(asked)
    return list(await asyncio.gather(*(post(*one) for one in asked)))


def wrong(told: list[Told]) -> list[str]:
    """A key stands for the body that came first: one booking for it, and 422 for every other body."""
    found = []
    for key in {each.key for each in told}:
        taken = [each for each in told if each.key == key and each.status == 202]
        refused = [each for each in told if each.key == key and each.status != 202]
        if len({(each.booking, each.guests) for each in taken}) != 1:
            found.append(f"{key}: {taken}")
        found += [f"{each}" for each in refused if (each.status, each.code) != REUSED or each.guests == taken[0].guests]
    return found
