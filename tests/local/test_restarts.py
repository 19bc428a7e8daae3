"""What `make ps` knows of processes that died."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from local import control, processes, restarts
from local.restarts import Restarts


@dataclass
class Watcher:
    name: str = "worker"
    processes: dict[int, object] = field(default_factory=dict)

    def spawn(self, noted: Restarts, pid: int, *, instead: int | None = None) -> None:
        self.processes.pop(instead or 0, None)
        self.processes[pid] = None
        assert noted.after_spawn(watcher=self, pid=pid)


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "NOTES", tmp_path / "restarts.json")


def test_a_death_counts_and_an_end_that_was_asked_for_does_not() -> None:
    noted, worker = Restarts(), Watcher()
    worker.spawn(noted, 1)
    worker.spawn(noted, 2)
    assert restarts.read() == {}
    worker.spawn(noted, 3, instead=1)
    assert restarts.read()["worker"]["count"] == 1
    assert noted.before_signal(pid=2)
    worker.spawn(noted, 4, instead=2)
    assert restarts.read()["worker"]["count"] == 1


def test_three_deaths_in_a_minute_are_crashing(monkeypatch: pytest.MonkeyPatch) -> None:
    noted, worker = Restarts(), Watcher()
    for pid in range(1, 5):
        worker.spawn(noted, pid, instead=pid - 1)
    dead = "No such process (stopped?)"  # what circus says of one that has just died
    told = {"worker": {"4": {"age": 1, "mem_info1": "80M", "cpu": 1.5}, "9": {"age": 100}, "10": dead}}
    monkeypatch.setattr(control, "ask", lambda _: {"infos": told})
    monkeypatch.setattr(control, "states", lambda: {"worker": "active", "kafka": "stopped"})
    monkeypatch.setattr(processes, "worker_ids", lambda: {9: "w9"})
    _, kafka, young, old, note = processes.lines()
    assert kafka.split() == ["kafka", "stopped", "-"]
    assert young.split() == ["worker", "(no", "name", "yet)", "crashing", "4", "00:00:01", "80M", "1.5"]
    assert old.split()[:4] == ["worker", "w9", "active", "9"]
    assert note == "worker died and was started again 3 times, last 0 s ago: make logs S=worker"
    assert not restarts.crashes(restarts.read()["worker"], time.time() + 61)
