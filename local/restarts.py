"""What died and was started again: noted by the supervisor's hooks, read by `make ps`. Standard library alone."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.paths import RUN

NOTES = RUN / "restarts.json"
KEPT = 3  # so many within LATELY is crashing
LATELY = 60.0


@dataclass
class Restarts:
    """The supervisor's side. What it was told to end does not count."""

    living: dict[str, set[int]] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    noted: dict[str, dict[str, Any]] = field(default_factory=dict)

    def before_signal(self, *, pid: int, **_: object) -> bool:
        self.ended.add(pid)
        return True

    def after_spawn(self, *, watcher: Any, pid: int, **_: object) -> bool:
        died = self.living.get(watcher.name, set()) - set(watcher.processes) - {pid}
        self.living[watcher.name] = set(watcher.processes) | {pid}
        if crashed := died - self.ended:
            self._note(watcher.name, len(crashed))
        self.ended -= died
        return True

    def _note(self, name: str, more: int) -> None:
        note = self.noted.setdefault(name, {"count": 0, "last": []})
        note["count"] += more
        note["last"] = [*note["last"], *[time.time()] * more][-KEPT:]
        NOTES.write_text(json.dumps(self.noted))


def read() -> Mapping[str, dict[str, Any]]:
    try:
        found: dict[str, dict[str, Any]] = json.loads(NOTES.read_text())
    except (OSError, ValueError):
        return {}
    return found


def crashes(note: Mapping[str, Any], now: float) -> bool:
    return len(note["last"]) == KEPT and now - note["last"][0] < LATELY
