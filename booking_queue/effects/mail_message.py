"""What the mails say, and how they are written down.

By hand, not with the email package: its parsing of every header costs more than sending the mail does.
Header values are made ASCII and printable here, so nothing that a user wrote can begin another header.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from booking_queue.domain.errors import PermanentError

_LOCAL_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_STAY = (
    ("Number", "confirmationNumber"),
    ("Guest", "userId"),
    ("Hotel", "hotelId"),
    ("Room", "roomType"),
    ("Guests", "guests"),
    ("Check-in", "checkIn"),
    ("Check-out", "checkOut"),
)


@dataclass(frozen=True)
class Mail:
    message_id: str
    to: str
    subject: str
    text: str

    def encode(self, sender: str) -> bytes:
        headers = {
            "From": sender,
            "To": self.to,
            "Subject": self.subject,
            "Message-ID": self.message_id,
            "Date": formatdate(),
            "Auto-Submitted": "auto-generated",
            "MIME-Version": "1.0",
        }
        head = "".join(f"{name}: {_ascii(value)}\r\n" for name, value in headers.items()).encode()
        return head + _body(self.text.encode())


def confirmation(booking_id: str, fields: Mapping[str, Any], round_: int = 1) -> Mail:
    text = "Thank you for your booking. It is confirmed and paid."
    subject = f"Your booking is confirmed: {fields.get('confirmationNumber', '')}"
    return Mail(_message_id(booking_id, "mail", round_), _to(fields), subject, _text(text, booking_id, fields))


def failure(booking_id: str, fields: Mapping[str, Any], round_: int = 1) -> Mail:
    text = "We are sorry: your booking could not be completed. Whatever was charged has been refunded."
    subject = "Your booking could not be completed"
    return Mail(_message_id(booking_id, "failed", round_), _to(fields), subject, _text(text, booking_id, fields))


def cancellation(booking_id: str, fields: Mapping[str, Any], round_: int = 1) -> Mail:
    text = "Your booking is cancelled, as you asked. Whatever was charged has been refunded."
    subject = "Your booking is cancelled"
    return Mail(_message_id(booking_id, "cancelled", round_), _to(fields), subject, _text(text, booking_id, fields))


def address_of(user_id: str) -> str:
    """A mailbox for the user, on a name that never leaves the house. Ids that fit no mailbox get a digest."""
    fits = _LOCAL_PART.fullmatch(user_id) and ".." not in user_id and not user_id.endswith(".")
    local = user_id if fits else "user-" + hashlib.sha256(user_id.encode("utf-8", "replace")).hexdigest()[:20]
    return f"{local}@guests.booking-queue.example"


def _to(fields: Mapping[str, Any]) -> str:
    return address_of(str(fields.get("userId", "")))


def _message_id(booking_id: str, kind: str, round_: int) -> str:
    """Each round of effects has mails of its own: what became of the last one is not the guest's last word."""
    if not _ID.fullmatch(booking_id):
        raise PermanentError("the booking's id cannot stand in a Message-ID")
    return f"<{booking_id}.{kind}" + (f".{round_}" if round_ > 1 else "") + "@booking-queue>"


def _text(text: str, booking_id: str, fields: Mapping[str, Any]) -> str:
    stay = "".join(f"{label + ':':<12}{_line(fields.get(name))}\n" for label, name in _STAY)
    return f"{text}\n\n{stay}{'Booking:':<12}{booking_id}\n"


def _body(text: bytes) -> bytes:
    encoding, encoded = ("7bit", text) if text.isascii() else ("base64", base64.encodebytes(text))
    head = f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + encoded.replace(b"\n", b"\r\n")


def _ascii(value: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in value)[:900]


def _line(value: object) -> str:
    text = "-" if value is None else str(value)
    return "".join(c if c.isprintable() else " " for c in text.encode("utf-8", "replace").decode())[:200]
