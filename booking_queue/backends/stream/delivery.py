"""One entry of a stream: how it is read, and the verbs that settle it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from booking_queue.backends.envelope import MAX_BYTES, Envelope
from booking_queue.domain.errors import UnreadableMessage
from booking_queue.ledger.ledger import Claim, dumps
from booking_queue.ledger.script import Arg, Scripts

KEPT_OF_UNREADABLE = 64 * 1024
LONGEST_ID = 200
LONGEST_TYPE = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """As Redis gave it. A stream's name and the id in it are one place; the id alone is, among ours."""

    stream: str
    id: str
    fields: dict[bytes, bytes]

    @classmethod
    def of(cls, raw: Sequence[Any]) -> Entry:
        stream, entry_id, flat = raw
        values = iter(flat)
        return cls(stream.decode(), entry_id.decode(), dict(zip(values, values, strict=True)))

    @property
    def place(self) -> str:
        return f"{self.stream} {self.id}"

    def text(self, name: str) -> str:
        return _shown(self.fields.get(name.encode(), b""))

    def envelope(self) -> Envelope:
        """Raises UnreadableMessage, saying what is wrong."""
        fields = self.fields
        if sum(map(len, fields.values())) > MAX_BYTES:
            raise UnreadableMessage(f"more than {MAX_BYTES} bytes")
        try:
            envelope = Envelope(
                id=fields[b"messageId"].decode(),
                type=fields[b"type"].decode(),
                data=orjson.loads(fields[b"data"]),
                generation=_number(fields[b"generation"], 1),
                attempt=_number(fields[b"attempt"], 1),
                not_before=_number(fields.get(b"notBefore", b"0"), 0),
                trace=fields.get(b"traceparent", b"").decode(),
            )
        except KeyError as error:
            raise UnreadableMessage(f"not one of ours: no field {error.args[0].decode()}") from error
        except UnicodeDecodeError as error:
            raise UnreadableMessage(f"not UTF-8: {error}") from error
        except orjson.JSONDecodeError as error:
            raise UnreadableMessage(f"data is not JSON: {error}") from error
        except ValueError as error:
            raise UnreadableMessage(f"a number is wrong: {error}") from error
        if not 0 < len(envelope.id) <= LONGEST_ID or not 0 < len(envelope.type) <= LONGEST_TYPE:
            raise UnreadableMessage("messageId or type is empty or too long")
        if not isinstance(envelope.data, dict):
            raise UnreadableMessage("data is no JSON object")
        return envelope

    def for_dead_letter(self) -> tuple[str, str, bytes]:
        """Message id, type and data of what cannot be read, as far as they can be told."""
        data = self.fields.get(b"data")
        if data is None or not _is_json(data):
            data = orjson.dumps({_shown(name): _shown(value) for name, value in self.fields.items()})
        return (
            self.text("messageId")[:LONGEST_ID] or self.id,
            self.text("type")[:LONGEST_TYPE],
            data[:KEPT_OF_UNREADABLE].decode(errors="ignore").encode(),  # no half of a character
        )


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _number(digits: bytes, least: int) -> int:
    number = int(digits)
    if not least <= number < 2**53:
        raise ValueError(f"{number} is out of range")
    return number


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


class StreamDelivery:
    """Each verb is one operation in Redis: the ledger's change and the stream's writes, both or neither."""

    __slots__ = ("_consumer", "_entry", "_scripts", "envelope")

    def __init__(self, entry: Entry, envelope: Envelope, scripts: Scripts, consumer: str):
        self.envelope = envelope
        self._entry = entry
        self._scripts = scripts
        self._consumer = consumer

    async def _call(self, op: str, *args: Arg) -> bool:
        return bool((await self._scripts.call(op, self._entry.stream, self._entry.id, *args))[0])

    async def extend(self, claim: Claim | None) -> bool:
        owner = (claim.job_id, claim.token) if claim else ()
        return await self._call("stream_extend", self._consumer, *owner)

    async def ack(self, claim: Claim | None, result: Any = None) -> bool:
        outcome = (claim.job_id, claim.token, dumps(result)) if claim else ()
        return await self._call("stream_ack", *outcome)

    async def retry(self, claim: Claim, error: str, delay_ms: int) -> bool:
        return await self._call("stream_retry", claim.job_id, claim.token, error, delay_ms)

    async def bury(self, claim: Claim | None, reason: str, *, killer: bool = False) -> bool:
        envelope = self.envelope
        letter = (envelope.id, envelope.type, self._entry.fields[b"data"], reason)
        return await self._call("stream_bury", *letter, *((claim.token, int(killer)) if claim else ()))

    async def release(self, claim: Claim | None) -> None:
        owner = (claim.job_id, claim.token) if claim else ()
        await self._call("stream_release", self._consumer, *owner)
