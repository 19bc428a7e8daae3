"""Sends bookings through all three backends and shows what becomes of them. Standard library alone.

Different bookings go to each backend: one booking on all three would be a race whose later lanes reuse the
first one's results, and no comparison.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from local import env
from local.paths import SECRETS
from local.table import BACKENDS, Leg, Screen, lines
from local.urls import wait_for_kafka

HOTELS = ("hotel-lisbon", "hotel-porto", "hotel-faro")
ROOMS = ("standard", "deluxe", "suite")
AT_A_TIME = 8
PATIENCE = 60.0
# A backend that has not taken a single booking by then cannot be reached: its bookings wait, and the demo goes on.
HOPE = 8.0


class Refused(RuntimeError):
    """The gateway did not take a request; the message is its answer."""


@dataclass
class Booking:
    id: str
    leg: Leg
    confirmed: str = ""


@dataclass
class Gateway:
    url: str
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def book(self, backend: str) -> Booking:
        number = next(self.numbers)
        day = datetime.now(UTC).date() + timedelta(days=30 + number % 60)
        body = {
            "userId": f"guest-{number}",
            "hotelId": HOTELS[number % len(HOTELS)],
            "checkIn": day.isoformat(),
            "checkOut": (day + timedelta(days=2)).isoformat(),
            "guests": 1 + number % 2,
            "roomType": ROOMS[number % len(ROOMS)],
            "backends": [backend],
        }
        answer = self._ask("POST", "/api/bookings", body)
        return Booking(str(answer["bookingId"]), Leg(backend))

    def refresh(self, booking: Booking) -> None:
        answer = self._ask("GET", f"/api/bookings/{booking.id}/status")
        told = answer["status"][booking.leg.backend]
        booking.leg.update(told)
        result = told.get("result")
        if isinstance(result, dict):
            booking.confirmed = str(result.get("confirmationNumber") or "")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        known = key() if os.environ.get("AUTH") == "required" else ""
        headers = {"Content-Type": "application/json", **({"X-API-Key": known} if known else {})}
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - 127.0.0.1
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            raise Refused(f"{method} {path}: {error.code} {error.read().decode(errors='replace')[:300]}") from error
        except OSError as error:
            raise Refused(f"{method} {self.url}{path}: {error}") from error


def key() -> str:
    """The operator's, which `AUTH=required` asks for; '' where none was made."""
    file = SECRETS / "api_key"
    return os.environ.get("API_KEY") or (file.read_text() if file.exists() else "")


def follow(gateway: Gateway, bookings: list[Booking], screen: Screen | None) -> None:
    """Ask for the open ones until every one has ended, or waiting longer makes no sense."""
    begun = time.monotonic()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        while time.monotonic() - begun < PATIENCE:
            still = [booking for booking in bookings if not booking.leg.ended]
            list(pool.map(gateway.refresh, still))
            still = [booking for booking in still if not booking.leg.ended]
            if screen:
                screen.draw(lines([booking.leg for booking in bookings]))
            stuck = all(booking.leg.state == "pending" for booking in still)
            if not still or (stuck and time.monotonic() - begun > HOPE):
                return
            time.sleep(0.2)


def send(gateway: Gateway, each: int) -> list[Booking]:
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return list(pool.map(gateway.book, BACKENDS * each))


def conclude(bookings: list[Booking]) -> bool:
    """Say what happened; whether all is well."""
    well = True
    for backend in BACKENDS:
        legs = [booking.leg for booking in bookings if booking.leg.backend == backend]
        if all(leg.state == "pending" for leg in legs):
            # Kafka may be impossible to have on this machine; the other two always are there.
            well = well and backend == "kafka"
            print(f"{backend} cannot be reached: its {len(legs)} bookings are kept and delivered when it is back.")
        elif not all(leg.state == "completed" for leg in legs):
            well = False
            print(f"{backend}: not every booking was completed within {PATIENCE:.0f} s. `make logs` tells more.")
    workers = sorted({booking.leg.worker for booking in bookings if booking.leg.worker})
    done = [booking for booking in bookings if booking.confirmed]
    if done:
        print(f"{len(done)} bookings confirmed by {len(workers)} workers ({', '.join(workers)}).")
        print(f"One of them: {done[-1].confirmed}, {env.url('frontend')}/bookings/{done[-1].id}")
    return well


def run(kafka: bool = True) -> bool:
    """Whether all went well. `kafka`: whether this machine has one, so that waiting for it makes sense."""
    gateway = Gateway(env.url("api"))
    count = env.whole_number("DEMO_BOOKINGS", 20)
    if kafka:
        wait_for_kafka()
    try:
        # The first booking of each backend also waits for connections and for Kafka's group: it is not counted.
        print("\nWarming up: one booking on each backend", flush=True)
        follow(gateway, send(gateway, 1), None)
        print(f"Sending {count} bookings to each backend\n", flush=True)
        bookings = send(gateway, count)
        screen = Screen()
        follow(gateway, bookings, screen)
        screen.draw(lines([booking.leg for booking in bookings]), last=True)
        print()
        well = conclude(bookings)
    except Refused as error:
        print(f"The gateway refused: {error}", file=sys.stderr)
        return False
    return well
