"""`make faults`: short loads; FULL=1 makes them full, FULL=0.1 a tenth of that, and either adds the long trials.
SUITE=compose breaks containers instead of processes."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest

from tests.faults import report
from tests.faults.containers import Containers
from tests.faults.lab import ROOMS, Lab, Say, Suite
from tests.faults.processes import Processes, ProcessLab
from tests.faults.results import Record, Results, Run

FULL = float(os.environ.get("FULL") or 0)
SUITE = "containers" if os.environ.get("SUITE") == "compose" else "processes"
IN_CONTAINERS = ("test_workers.py", "test_full_kafka.py", "test_containers.py")
BEGAN = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
RESULTS = pytest.StashKey[Results]()
S = TypeVar("S", bound=Suite)


def size(short: int, full: int) -> int:
    return max(short, round(full * FULL))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = Results()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """The long trials are no tests of a short run, not even skipped ones."""
    name = collection_path.name
    if SUITE == "containers":
        return True if name.startswith("test_") and name not in IN_CONTAINERS else None
    return True if name == "test_containers.py" or (name.startswith("test_full_") and not FULL) else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    path, results = os.environ.get("FAULTS_REPORT"), session.config.stash[RESULTS]
    if path and (results.trials or results.caught or results.notes):
        words = ["make faults", "SUITE=compose" * (SUITE == "containers"), f"FULL={FULL:g}" * bool(FULL)]
        if chosen := session.config.getoption("keyword"):
            words.append(f"T=\"-k '{chosen}'\"")
        record = Record.read(Path(path).with_suffix(".json"))
        command = " ".join(word for word in words if word)
        record.add(results, Run(BEGAN, SUITE, FULL, command, report.versions(SUITE)))
        record.write(Path(path).with_suffix(".json"))
        Path(path).write_text(report.written(record), encoding="utf-8")


@pytest.fixture(scope="session")
def results(pytestconfig: pytest.Config) -> Results:
    return pytestconfig.stash[RESULTS]


@pytest.fixture(scope="session")
def say(pytestconfig: pytest.Config) -> Say:
    """A line a phase, whatever pytest captures."""
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")

    def line(text: str) -> None:
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            print(f"  {text}", flush=True)

    return line


@contextmanager
def a_suite(kind: Callable[..., S], **options: Any) -> Iterator[S]:
    """Not started yet. Ended, and its data removed, at the end."""
    folder = Path(tempfile.mkdtemp(prefix="booking-queue-faults-"))
    with _alone():
        suite = kind(folder, INVENTORY_DEFAULT_ROOMS=str(ROOMS), **options)
        try:
            yield suite
        finally:
            suite.close()
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_lab(say: Say, *, kafka: bool = True) -> Iterator[ProcessLab]:
    with a_suite(Processes, kafka=kafka) as suite:
        yield ProcessLab(suite, say)


_holding: list[bool] = []


@contextmanager
def _alone() -> Iterator[None]:
    """Of the processes that run tests side by side, one has a lab at a time: two would measure each other."""
    if _holding:
        yield
        return
    with (Path(tempfile.gettempdir()) / f"booking-queue-faults-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _holding.append(True)
        try:
            yield
        finally:
            _holding.clear()


@pytest.fixture
def own_lab(say: Say) -> Iterator[ProcessLab]:
    """For a trial that changes brokers or services, which starts it by itself."""
    with new_lab(say) as lab:
        yield lab


def _scope(fixture_name: str, config: pytest.Config) -> Literal["package", "module"]:
    """In a full run a file: it stands beside no other lab. The files of a short one come last, one after the other."""
    return "module" if FULL and SUITE == "processes" else "package"


@pytest.fixture(scope=_scope)
def shared_lab(say: Say) -> Iterator[Lab]:
    """For trials that leave brokers and services as they were."""
    with a_suite(Containers) if SUITE == "containers" else a_suite(Processes, kafka=True) as suite:
        lab = Lab(suite, say) if isinstance(suite, Containers) else ProcessLab(suite, say)
        lab.start(workers=3)
        yield lab
