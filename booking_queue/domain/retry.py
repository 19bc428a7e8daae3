"""When an attempt failed: again, or dead. A pure decision, returned as a value."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from booking_queue.domain.errors import PermanentError, bounded

MAX_DELAY_MS = 30_000
JITTER_MS = 500


class Backoff(BaseModel):
    """`delay` in milliseconds; exponential doubles it at each attempt, up to 30 s."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    type: Literal["exponential", "fixed"] = "exponential"
    delay: int = Field(1000, ge=0, le=3_600_000, strict=True)


@dataclass(frozen=True)
class Retry:
    delay_ms: int


@dataclass(frozen=True)
class Bury:
    reason: str


@dataclass(frozen=True)
class RetryPolicy:
    """`attempts` counts the first one too. Jitter: up to 500 ms on top, so that a crowd does not come back at once."""

    attempts: int = 3
    backoff: Backoff = Backoff()

    def decide(self, error: BaseException, attempt: int, rand: Callable[[], float] = random.random) -> Retry | Bury:
        """`attempt` is the one that has just failed, from 1."""
        if isinstance(error, PermanentError):
            return Bury(str(error))
        if attempt >= self.attempts:
            return Bury(bounded(f"failed {attempt} of {self.attempts} attempts, the last with: {describe(error)}"))
        if self.backoff.type == "fixed":
            return Retry(self.backoff.delay)
        return Retry(min(self.backoff.delay * 2 ** (attempt - 1) + int(rand() * JITTER_MS), MAX_DELAY_MS))


def describe(error: BaseException) -> str:
    """One line for people: the kind of error and its text, bounded."""
    return bounded(f"{type(error).__name__}: {error}")
