"""Limits over all workers: per backend, per job type and per tenant."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from booking_queue.ledger.ledger import text
from booking_queue.ledger.script import Scripts


@dataclass(frozen=True, slots=True)
class Limit:
    """None: no limit. `rate` starts in any `window` ms; `outstanding` of backends and tenants."""

    concurrency: int | None = None
    rate: int | None = None
    window: int | None = None
    outstanding: int | None = None
    paused: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """`waiting` stand in a limit's line; `running` hold a place, where it limits how many may."""

    waiting: int
    running: int


NAMES = tuple(each.name for each in fields(Limit))


class Limits:
    """A scope is a backend's name, `type:` and a job type, `tenant:` and a tenant, or `tenant` for every other one."""

    def __init__(self, scripts: Scripts):
        self._scripts = scripts

    async def all(self) -> dict[str, Limit]:
        """What is in force, by scope."""
        found: dict[str, dict[str, int]] = {}
        for flat in await self._scripts.call("limits_get"):
            for name, value in zip(flat[::2], flat[1::2], strict=True):
                scope, _, field = text(name).rpartition(".")
                found.setdefault(scope, {})[field] = int(value)
        return {scope: Limit(**values) for scope, values in sorted(found.items())}

    async def held(self, scopes: Sequence[str]) -> dict[str, Held]:
        """By scope, at the same cost however many there are."""
        answer = await self._scripts.call("limits_held", *scopes)
        return {scope: Held(*answer[2 * n : 2 * n + 2]) for n, scope in enumerate(scopes)}

    async def put(self, changes: Mapping[str, Mapping[str, int | None]]) -> None:
        """By scope, all or nothing. None goes back to what the settings say."""
        given = [_flat(scope, values.items()) for scope, values in changes.items()]
        await self._scripts.call("limits_put", *itertools.chain.from_iterable(given))

    async def defaults(self, limits: Mapping[str, Limit]) -> None:
        """What the settings say, in place of what they said before."""
        given = [
            _flat(scope, ((name, getattr(limit, name)) for name in NAMES if getattr(limit, name) is not None))
            for scope, limit in limits.items()
        ]
        await self._scripts.call("limits_default", *itertools.chain.from_iterable(given))


def _flat(scope: str, values: Iterable[tuple[str, Any]]) -> list[str | int]:
    flat: list[str | int] = []
    for name, value in values:
        flat += [f"{scope}.{name}", "" if value is None else value]
    return flat
