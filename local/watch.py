"""Looks for changed sources and says which services read them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from local.env import FOLDERS
from local.paths import ROOT

SUFFIXES = (".py", ".lua", ".ts", ".tsx", ".css", ".html")
IGNORED = {"node_modules", "dist", "__pycache__"}


def stamps() -> dict[Path, float]:
    """When each source was last changed."""
    found = {}
    for folder in ("booking_queue", "frontend", *FOLDERS.values()):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in SUFFIXES and not IGNORED & set(path.parts):
                found[path] = path.stat().st_mtime
    return found


def readers(changed: set[Path]) -> list[str]:
    """The services that run the code of `changed`; what they share is read by all of them."""
    folders = {path.relative_to(ROOT).parts[0] for path in changed}
    if "booking_queue" in folders:
        folders |= set(FOLDERS.values())
    return [name for name, folder in {**FOLDERS, "frontend": "frontend"}.items() if folder in folders]


def until_interrupted(restart: Callable[[list[str]], None], every: float = 0.5) -> None:
    print("Watching the sources; Ctrl-C ends the watching, `make down` the suite.", file=sys.stderr, flush=True)
    before = stamps()
    try:
        while True:
            time.sleep(every)
            now = stamps()
            changed = {path for path in before.keys() | now.keys() if before.get(path) != now.get(path)}
            before = now
            if changed:
                names = readers(changed)
                print(f"Changed: {_told(changed)}. Starting again: {', '.join(names)}", file=sys.stderr, flush=True)
                restart(names)
    except KeyboardInterrupt:
        print(file=sys.stderr)


def _told(changed: set[Path]) -> str:
    names = sorted(str(path.relative_to(ROOT)) for path in changed)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
