"""Where the suite answers, and waiting until it does."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Iterable

from local import env
from local.probe import wait_until

KAFKA_SECONDS = 60.0
SHOWN = {
    "frontend": "the dashboard: create a booking, follow it, see every queue",
    "api": "the gateway: POST /api/bookings, GET /api/bookings/{id}/status (its API at /docs)",
    "queue": "RQ",
    "stream": "Redis Streams",
    "kafka-service": "Kafka",
    "monitoring": "GET /dashboard, /services/health, /metrics",
    "providers": "the outside world: the inbox, the payments",
}


def serves(name: str) -> bool:
    return _is_well(env.url(name) + ("/" if name == "frontend" else "/livez"))


def ready(name: str) -> bool:
    """Whether what the service depends on answers too."""
    return _is_well(env.url(name) + "/readyz")


def _is_well(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310 - always http://127.0.0.1
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_for_kafka() -> None:
    """Its service serves before it does. Without it all goes on: its lane waits."""
    if not ready("kafka-service"):
        print("\nWaiting for Kafka", flush=True)
        wait_until(lambda: ready("kafka-service"), KAFKA_SECONDS, every=0.2)


def wait_until_serving(seconds: float, names: Iterable[str] = tuple(SHOWN)) -> list[str]:
    """The names that do not answer by then."""
    waiting = list(names)

    def all_serve() -> bool:
        waiting[:] = [name for name in waiting if not serves(name)]
        return not waiting

    wait_until(all_serve, seconds, every=0.1)
    return waiting


def print_urls(names: Iterable[str] = tuple(SHOWN)) -> None:
    print()
    for name, about in SHOWN.items():
        if name in names:
            print(f"  {name:<14} {env.url(name):<24} {about}")
    print("\n  The API key, where one is asked for: make -s key")
    print("  It goes on running: make ps · make logs S=worker · make scale N=4. `make down` stops it.")
    sys.stdout.flush()
