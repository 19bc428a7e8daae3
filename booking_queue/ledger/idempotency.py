"""Keys under which a client may send the same request again: the work is done once.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/07/
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from uuid import UUID

from booking_queue.domain.errors import BookingQueueError
from booking_queue.ledger.ledger import text
from booking_queue.ledger.script import Scripts

LEASE_MS = 5_000  # after it a request whose server died may be sent again
KEPT_MS = 86_400_000


class KeyReused(BookingQueueError):
    """The key stands for another request."""


class KeyBusy(BookingQueueError):
    """The first request with this key is still at work, for at most `wait_ms`."""

    def __init__(self, wait_ms: int):
        self.wait_ms = wait_ms
        super().__init__("the first request with this key is still at work")


class KeySpent(BookingQueueError):
    """Its answer was not kept, and the records of what was made may be gone: it would be made again."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The right to do the request's work. `answer`: it was done before."""

    key: str
    nonce: str
    answer: bytes | None = None

    def new_id(self, index: int = 0) -> str:
        """The same at every attempt, so that what was accepted before is found and not made again."""
        digest = hashlib.sha256(f"{self.nonce}:{index}".encode()).digest()
        return str(UUID(bytes=digest[:16], version=4))


class Idempotency:
    """Needs `idempotency.lua` among the scripts."""

    def __init__(self, scripts: Scripts):
        self._scripts = scripts

    async def begin(self, scope: str, key: str, request: bytes) -> Attempt:
        """`scope`: whose key it is and of which route. Raises KeyReused, KeyBusy and KeySpent."""
        name = hashlib.sha256(f"{scope}\n{key}".encode()).hexdigest()
        fingerprint = hashlib.sha256(request).hexdigest()
        answer = await self._scripts.call(
            "idempotency_begin", name, fingerprint, secrets.token_hex(16), LEASE_MS, KEPT_MS
        )
        match answer[0]:
            case b"other":
                raise KeyReused("this key was used for another request")
            case b"running":
                raise KeyBusy(int(answer[1]))
            case b"spent":
                raise KeySpent("what was made for this key is known no more")
        return Attempt(name, text(answer[1]), answer[2] if answer[0] == b"done" else None)

    async def end(self, attempt: Attempt, answer: bytes) -> None:
        """Whoever sends it again gets this."""
        await self._scripts.call("idempotency_end", attempt.key, attempt.nonce, answer)

    async def leave(self, attempt: Attempt) -> None:
        """It is done, or may be. Whoever sends it again makes the answer anew, of what there is."""
        await self._scripts.call("idempotency_end", attempt.key, attempt.nonce)

    async def forget(self, attempt: Attempt) -> None:
        """This attempt did nothing. Should no other have begun, the key may stand for something else."""
        await self._scripts.call("idempotency_forget", attempt.key, attempt.nonce)
