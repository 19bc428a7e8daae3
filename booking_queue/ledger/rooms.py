"""Rooms of a hotel, night by night."""

from __future__ import annotations

from dataclasses import dataclass

from booking_queue.ledger.effects import Stay
from booking_queue.ledger.ledger import text
from booking_queue.ledger.script import Scripts


@dataclass(frozen=True, slots=True)
class Night:
    """`taken` counts held and sold rooms alike."""

    date: str
    total: int
    taken: int
    sold: int


@dataclass(frozen=True, slots=True)
class Overfull:
    """This many are taken that night already."""

    date: str
    taken: int


class Rooms:
    def __init__(self, scripts: Scripts):
        self._scripts = scripts

    async def get(self, stay: Stay) -> list[Night]:
        flat = await self._scripts.call("rooms_get", stay.default_rooms, stay.hotel_id, stay.room_type, *stay.nights)
        numbers = [int(number) for number in flat]
        return [Night(date, *numbers[3 * i : 3 * i + 3]) for i, date in enumerate(stay.nights)]

    async def set_total(self, stay: Stay, total: int) -> Overfull | None:
        """All nights or none: the first night with more rooms taken than that refuses it."""
        answer = await self._scripts.call("rooms_set", stay.hotel_id, stay.room_type, total, *stay.nights)
        return Overfull(text(answer[1]), int(answer[2])) if answer[0] == b"taken" else None

    async def expire_holds(self, limit: int) -> list[str]:
        """Gives back the rooms of holds that ran out; whose they were."""
        return [text(job_id) for job_id in await self._scripts.call("rooms_expire", limit)]
