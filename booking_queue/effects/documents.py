"""The confirmation PDF: the same bytes for the same booking, so that making it again is harmless."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import time
import unicodedata
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from booking_queue.domain.errors import RetryableError

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_-]{0,199}")
_INK, _SOFT, _LINE, _BAND = (31, 41, 55), (107, 114, 128), (229, 231, 235), (15, 76, 92)
_LEFT = 20
_LABEL_WIDTH = 45
_THREADS = 2


class Documents:
    """Files under `directory`, one per effect key."""

    def __init__(self, directory: Path):
        self.directory = directory
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="documents")

    async def render_and_store(self, key: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        path = self._path(key)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._make, path, dict(fields))

    async def sweep(self, older_than_seconds: float, needed: Callable[[str], Awaitable[bool]]) -> int:
        """Removes what is older and, asked by its key, not `needed`; and temporary files that a crash left."""
        removed = 0
        for path in await asyncio.to_thread(self._older_than, older_than_seconds):
            if path.suffix != ".pdf" or not await needed(path.stem.replace(".", ":")):
                await asyncio.to_thread(path.unlink, missing_ok=True)
                removed += 1
        return removed

    def _older_than(self, seconds: float) -> list[Path]:
        limit, found = time.time() - seconds, []
        for path in self.directory.glob("??/*"):
            with suppress(FileNotFoundError):  # renamed by who makes it, or swept by another, since it was listed
                if path.stat().st_mtime < limit:
                    found.append(path)
        return found

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a document key: {key!r:.100}")
        name = key.replace(":", ".")
        return self.directory / hashlib.sha256(key.encode()).hexdigest()[:2] / f"{name}.pdf"

    def _make(self, path: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
        content = render(fields)
        try:
            _write(path, content)
        except OSError as error:
            raise RetryableError(f"the document cannot be stored: {error.strerror}") from error
        digest = hashlib.sha256(content).hexdigest()
        return {"path": path.relative_to(self.directory).as_posix(), "sha256": digest, "bytes": len(content)}


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def render(fields: Mapping[str, Any]) -> bytes:
    """An A4 page. Only the fields decide its bytes."""
    pdf = FPDF(format="A4")
    pdf.set_creation_date(_when(fields.get("bookedAt")))
    pdf.set_title(f"Confirmation {_text(fields.get('confirmationNumber'))}")
    pdf.set_creator("booking-queue")
    pdf.set_auto_page_break(False)
    pdf.set_margins(_LEFT, _LEFT)
    pdf.add_page()
    _heading(pdf, fields)
    _details(pdf, fields)
    _total(pdf, fields)
    _footer(pdf, fields)
    return bytes(pdf.output())


def _heading(pdf: FPDF, fields: Mapping[str, Any]) -> None:
    pdf.set_fill_color(*_BAND)
    pdf.rect(0, 0, pdf.w, 42, style="F")
    pdf.set_text_color(255, 255, 255)
    pdf.set_font("helvetica", "B", 20)
    pdf.text(_LEFT, 21, "Booking confirmation")
    pdf.set_font("helvetica", "", 11)
    pdf.text(_LEFT, 30, _text(fields.get("confirmationNumber")))
    pdf.set_text_color(*_INK)
    pdf.text(_LEFT, 58, "Thank you. Your stay is confirmed and paid.")
    pdf.set_xy(_LEFT, 68)


def _details(pdf: FPDF, fields: Mapping[str, Any]) -> None:
    rows = (
        ("Guest", fields.get("userId")),
        ("Hotel", fields.get("hotelId")),
        ("Room", str(fields.get("roomType", "standard")).capitalize()),
        ("Guests", fields.get("guests", 1)),
        ("Check-in", fields.get("checkIn")),
        ("Check-out", fields.get("checkOut")),
        ("Nights", _nights(fields)),
        ("Booking", fields.get("bookingId")),
    )
    pdf.set_draw_color(*_LINE)
    pdf.set_font("helvetica", "", 11)
    for label, value in rows:
        _row(pdf, label, _text(value))


def _row(pdf: FPDF, label: str, value: str) -> None:
    top = pdf.get_y()
    pdf.set_text_color(*_SOFT)
    pdf.text(_LEFT, top + 6.3, label)
    pdf.set_text_color(*_INK)
    if pdf.get_string_width(value) <= pdf.epw - _LABEL_WIDTH - 2:
        pdf.text(_LEFT + _LABEL_WIDTH, top + 6.3, value)
        pdf.set_y(top + 10)
    else:  # laying out a paragraph costs more than the rest of the page
        pdf.set_xy(_LEFT + _LABEL_WIDTH - pdf.c_margin, top + 2.5)
        pdf.multi_cell(0, 6, value, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        pdf.set_y(pdf.get_y() + 2)
    pdf.line(_LEFT, pdf.get_y(), pdf.w - _LEFT, pdf.get_y())


def _total(pdf: FPDF, fields: Mapping[str, Any]) -> None:
    price = fields.get("price")
    if not isinstance(price, int):
        return
    baseline = pdf.get_y() + 13
    amount = f"{_text(fields.get('currency', 'EUR'))} {price // 100:,}.{price % 100:02d}"
    pdf.set_font("helvetica", "B", 14)
    pdf.text(_LEFT, baseline, "Total paid")
    pdf.text(_LEFT + _LABEL_WIDTH, baseline, amount)


def _footer(pdf: FPDF, fields: Mapping[str, Any]) -> None:
    pdf.set_font("helvetica", "", 9)
    pdf.set_text_color(*_SOFT)
    booked = _text(fields.get("bookedAt"))
    pdf.text(_LEFT, pdf.h - 20, f"Booked {booked}. Please show this page, or its number, at the desk.")


def _nights(fields: Mapping[str, Any]) -> str:
    try:
        start, end = (datetime.fromisoformat(str(fields[name])) for name in ("checkIn", "checkOut"))
    except (KeyError, ValueError):
        return "-"
    return str((end - start).days)


def _when(value: object) -> datetime:
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    except ValueError:
        return datetime(2000, 1, 1, tzinfo=UTC)


def _text(value: object) -> str:
    """In the Latin-1 that the PDF's own fonts have: accents are dropped where need be, the rest becomes `?`."""
    text = "-" if value is None else "".join(c if c.isprintable() else " " for c in str(value))
    return "".join(_latin(character) for character in text)


def _latin(character: str) -> str:
    if ord(character) < 256:
        return character
    plain = unicodedata.normalize("NFKD", character).encode("latin-1", "ignore").decode("latin-1")
    return plain or "?"
