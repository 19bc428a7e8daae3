"""`make faults`: short loads; FULL=1 makes them full, FULL=0.1 a tenth of that, and either adds the long trials."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from tests.faults import report
from tests.faults.lab import Lab, Say
from tests.faults.results import Results

FULL = float(os.environ.get("FULL") or 0)
RESULTS = pytest.StashKey[Results]()


def size(short: int, full: int) -> int:
    return max(short, round(full * FULL))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = Results()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """The long trials are no tests of a short run, not even skipped ones."""
    return True if collection_path.name.startswith("test_full_") and not FULL else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    path, results = os.environ.get("FAULTS_REPORT"), session.config.stash[RESULTS]
    if path and results.trials:
        chosen = session.config.getoption("keyword")
        command = "make faults" + (f" FULL={FULL:g}" if FULL else "") + (f" T=\"-k '{chosen}'\"" if chosen else "")
        Path(path).write_text(report.written(results, command), encoding="utf-8")


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
def new_lab(say: Say, *, kafka: bool = True) -> Iterator[Lab]:
    """Not started yet. Ended, and its data removed, at the end."""
    folder = Path(tempfile.mkdtemp(prefix="booking-queue-faults-"))
    with _alone():
        lab = Lab(folder, say, kafka=kafka)
        try:
            yield lab
        finally:
            lab.close()
            shutil.rmtree(folder, ignore_errors=True)


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
def own_lab(say: Say) -> Iterator[Lab]:
    """For a trial that changes brokers or services, which starts it by itself."""
    with new_lab(say) as lab:
        yield lab


@pytest.fixture(scope="module")
def shared_lab(say: Say) -> Iterator[Lab]:
    """For trials that leave brokers and services as they were."""
    with new_lab(say) as lab:
        lab.start(workers=3)
        yield lab
