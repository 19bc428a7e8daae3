"""Has dead letters run again, in every way there is, where they died and elsewhere."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httpx

from tests.faults.load import BACKENDS

AT_A_TIME = 3
PAUSE_SECONDS = 0.1

Letter = dict[str, Any]


class Sexton:
    """Of one hotel. It asks again for what was refused or not answered: of a letter that runs again there is none."""

    def __init__(self, url: str, hotel: str):
        self._url = f"{url}/api/dead-letters"
        self._hotel = hotel
        self._to = itertools.cycle([*BACKENDS, None])

    async def dig(self) -> None:
        """Until there is none left."""
        ways = itertools.cycle([self._one, self._named, self._matching])
        async with httpx.AsyncClient(timeout=10) as http:
            while True:
                with suppress(httpx.HTTPError):
                    found = await self._letters(http)
                    if not found:
                        return
                    await next(ways)(http, found[:AT_A_TIME])
                await asyncio.sleep(PAUSE_SECONDS)

    async def _letters(self, http: httpx.AsyncClient) -> list[Letter]:
        """Newest first."""
        answer = await http.get(self._url, params={"q": self._hotel, "limit": 100})
        found: list[Letter] = answer.raise_for_status().json()["items"]
        return found

    async def _one(self, http: httpx.AsyncClient, letters: Sequence[Letter]) -> None:
        letter = letters[-1]
        answer = await http.post(f"{self._url}/{letter['backend']}/{letter['id']}/redrive", json={"to": next(self._to)})
        if answer.status_code != 409:  # compensating, or another was faster
            answer.raise_for_status()

    async def _named(self, http: httpx.AsyncClient, letters: Sequence[Letter]) -> None:
        which = [{"backend": letter["backend"], "id": letter["id"]} for letter in letters]
        await self._many(http, items=which)

    async def _matching(self, http: httpx.AsyncClient, letters: Sequence[Letter]) -> None:
        await self._many(http, matching={"q": self._hotel}, limit=len(letters))

    async def _many(self, http: httpx.AsyncClient, **which: Any) -> None:
        (await http.post(f"{self._url}/redrive", json={**which, "to": next(self._to)})).raise_for_status()
