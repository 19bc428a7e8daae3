"""What a store that is away, full or read-only makes of a request: which one it is, and what to do about it."""

from __future__ import annotations

from booking_queue import logs
from booking_queue.domain.errors import BackendUnavailable, LedgerUnavailable, Overloaded
from booking_queue.web.problems import Problem, unavailable

log = logs.get("web")

# By name, for redis-py is imported by those who use it: it would cost the others 15 MiB.
_REDIS = {"ConnectionError", "TimeoutError", "OutOfMemoryError", "ReadOnlyError"}

_AWAY = (
    "Redis, which holds the ledger, does not answer. Try again in a few seconds, a POST with the Idempotency-Key it "
    "had: whether this one was stored is not known. If it lasts, see that Redis runs; GET /readyz says when it is back"
)
_REFUSES = {
    "LOADING": "Redis, which holds the ledger, still loads its data. Nothing was changed: try again in a few seconds",
    "OOM": "Redis, which holds the ledger, is full. Nothing was changed: wait for work to end, or raise maxmemory",
    "MISCONF": "Redis, which holds the ledger, cannot write its disk. Nothing was changed: give it room, try again",
    "READONLY": "This Redis takes no writes, it is a replica. Nothing was changed: try again once there is a primary",
    "NOREPLICAS": "Redis, which holds the ledger, lacks its replica. Nothing was changed: try again when it is back",
}
_KINDS = {"BusyLoadingError": "LOADING", "OutOfMemoryError": "OOM", "ReadOnlyError": "READONLY"}
_BROKER = (
    "The broker of this service, or a service behind it, does not answer. Bookings go on through the gateway and are "
    "delivered later; to ask here, try again in a few seconds. GET /readyz says when it is back"
)


def for_now(error: Exception) -> str:
    """Why something was not done that may be when it is sent again."""
    if isinstance(error, Overloaded):
        return f"{str(error).capitalize()}: try again later"
    return "The ledger did not answer: this may have been done or not"


def explain(error: Exception) -> Problem | None:
    """None for an error that is no outage."""
    names = {kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "redis.exceptions"}
    refused = names & _REDIS or (names and str(error).startswith("MISCONF"))
    if not refused and not isinstance(error, LedgerUnavailable | BackendUnavailable):
        return None
    log.warning("unavailable", why=f"{type(error).__name__}: {error}"[:300])
    told = _BROKER if isinstance(error, BackendUnavailable) else _redis(names, str(error))
    return unavailable(told, error=told.split(". ")[0])


def _redis(names: set[str], said: str) -> str:
    """Redis' own word for it decides; its text stays in the log, for it names hosts."""
    words = {_KINDS[name] for name in names & set(_KINDS)} | set(said.replace(":", " ").split())
    return next((told for word, told in _REFUSES.items() if word in words), _AWAY)
