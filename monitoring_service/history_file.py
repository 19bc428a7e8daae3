"""The history in a file, so that it outlives a restart. Whatever is wrong with the file, it is only dropped."""

from __future__ import annotations

import os
import zlib
from array import array
from pathlib import Path
from typing import Any

import orjson

from booking_queue import logs
from monitoring_service.chart import BOUNDS
from monitoring_service.tiers import Tier, Tiers, adds_up

FORM = 1
SAVE_SECONDS = 60.0
MOST_BYTES = 64 * 1024 * 1024

log = logs.get("monitoring")


def packed(tiers: Tiers, notes: dict[str, Any]) -> list[bytes]:
    """At this moment; `written` does the rest, in another thread."""
    head: dict[str, Any] = {"form": FORM, "bounds": _bounds(), "notes": notes, "tiers": []}
    blocks: list[bytes] = []
    for tier in (tiers.fine, tiers.coarse):
        head["tiers"].append({"every": tier.every, "length": len(tier.times), "names": list(tier.columns)})
        blocks += [tier.times.tobytes(), *(column.tobytes() for column in tier.columns.values())]
    return [orjson.dumps(head) + b"\n", *blocks]


def written(path: Path, blocks: list[bytes]) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    squeeze = zlib.compressobj(1)
    try:
        with fresh.open("wb") as file:
            for block in blocks:
                file.write(squeeze.compress(block))
            file.write(squeeze.flush())  # with a sum of all of it, by which a torn one is known
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def save(path: Path, blocks: list[bytes]) -> None:
    try:
        written(path, blocks)
    except OSError as error:
        log.warning("history_not_kept", why=str(error))


def load(path: Path, tiers: Tiers) -> dict[str, Any]:
    """Fills `tiers`; answers the notes that were kept with them, empty where there is nothing to be had."""
    try:
        return _read(path, tiers)
    except FileNotFoundError:
        return {}
    except Exception as error:
        log.warning("history_dropped", why=f"{type(error).__name__}: {error}"[:200])
        return {}


def _read(path: Path, tiers: Tiers) -> dict[str, Any]:
    unpack = zlib.decompressobj()
    content = unpack.decompress(path.read_bytes(), MOST_BYTES)
    if not unpack.eof:
        raise ValueError("it ends too early, or is too long")
    line, _, rest = content.partition(b"\n")
    head = orjson.loads(line)
    if head["form"] != FORM or head["bounds"] != _bounds():
        raise ValueError("it is of another version")
    view, found = memoryview(rest), []
    for told, tier in zip(head["tiers"], (tiers.fine, tiers.coarse), strict=True):
        times, view = _column("q", told["length"], view)
        columns: dict[str, array[float]] = {}
        for name in told["names"]:
            columns[name], view = _column("f" if adds_up(name) else "d", told["length"], view)
        if told["every"] == tier.every:
            found.append((tier, times, columns))
    _fill(found)
    notes: dict[str, Any] = head["notes"]
    return notes


def _fill(found: list[tuple[Tier, array[int], dict[str, array[float]]]]) -> None:
    """Only now that all of it was understood."""
    for tier, times, columns in found:
        tier.times, tier.columns = times, columns


def _column(kind: str, length: int, view: memoryview) -> tuple[array[Any], memoryview]:
    column: array[Any] = array(kind)
    size = length * column.itemsize
    if len(view) < size:
        raise ValueError("a column is missing")
    column.frombytes(view[:size])
    return column, view[size:]


def _bounds() -> dict[str, list[float | None]]:
    return {name: [None if bound == float("inf") else bound for bound in bounds] for name, bounds in BOUNDS.items()}
