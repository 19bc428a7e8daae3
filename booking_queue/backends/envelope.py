"""What travels through a broker, the same on all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from booking_queue.domain.errors import UnreadableMessage

VERSION = 1
MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32  # HTTP takes 16; what is read here must be writable again, and orjson writes 254
MAX_NUMBER = 2**53
MAX_GENERATION = 2**31  # Lua counts on from it, in doubles
CONTAINERS = (dict, list)


@dataclass(frozen=True, slots=True)
class Envelope:
    """`generation` tells a newer copy from an older one; `not_before` is ms since 1970, 0 for at once.

    The ledger is the truth about a job: `data` travels so that a queue can be read with the broker's own tools.
    """

    id: str
    type: str
    data: dict[str, Any]
    generation: int = 1
    attempt: int = 1
    not_before: int = 0
    trace: str = ""

    def __post_init__(self) -> None:
        """Raises UnreadableMessage."""
        if deeper(self.data, MAX_DEPTH):
            raise UnreadableMessage(f"data is nested more than {MAX_DEPTH} levels deep")
        if not 0 <= self.generation < MAX_GENERATION:
            raise UnreadableMessage(f"generation {self.generation} is out of range")

    def dump(self) -> bytes:
        return orjson.dumps(
            {
                "v": VERSION,
                "id": self.id,
                "type": self.type,
                "data": self.data,
                "generation": self.generation,
                "attempt": self.attempt,
                "notBefore": self.not_before,
                "trace": self.trace,
            }
        )

    @classmethod
    def load(cls, raw: bytes) -> Envelope:
        """Raises UnreadableMessage, saying what is wrong."""
        if len(raw) > MAX_BYTES:
            raise UnreadableMessage(f"{len(raw)} bytes, more than {MAX_BYTES}")
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise UnreadableMessage(f"not JSON: {error}") from error
        if not isinstance(body, dict):
            raise UnreadableMessage("not a JSON object")
        if body.get("v") != VERSION:
            raise UnreadableMessage(f"version {str(body.get('v'))[:20]!r} is not known here")
        return cls.of(body)

    @classmethod
    def of(cls, body: dict[str, Any]) -> Envelope:
        kinds = {
            "id": str,
            "type": str,
            "data": dict,
            "generation": int,
            "attempt": int,
            "notBefore": int,
            "trace": str,
        }
        wrong = [name for name, kind in kinds.items() if not _fits(body.get(name, kind()), kind)]
        wrong += [name for name in ("id", "type") if not body.get(name)]
        if wrong:
            raise UnreadableMessage(f"missing or wrong: {', '.join(sorted(set(wrong)))}")
        return cls(
            id=body["id"][:200],
            type=body["type"][:50],
            data=body.get("data", {}),
            generation=body.get("generation", 1),
            attempt=body.get("attempt", 1),
            not_before=body.get("notBefore", 0),
            trace=body.get("trace", ""),
        )


def _fits(value: object, kind: type) -> bool:
    """Of exactly this type (a bool is no number here), and a number within what every reader can hold."""
    return type(value) is kind and (not isinstance(value, int) or 0 <= value <= MAX_NUMBER)


def deeper(value: Any, levels: int) -> bool:
    """Whether it is nested more than so many levels."""
    if not isinstance(value, CONTAINERS):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(deeper(item, levels - 1) for item in inner if isinstance(item, CONTAINERS))
