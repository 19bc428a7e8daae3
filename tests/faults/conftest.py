"""`make faults`: short loads; FULL=1 makes them full, and adds the trials that take long."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.faults import report
from tests.faults.lab import Lab, Say
from tests.faults.results import Results

FULL = os.environ.get("FULL", "") not in ("", "0")
RESULTS = pytest.StashKey[Results]()

MakeLab = Callable[..., Lab]


def size(short: int, full: int) -> int:
    return full if FULL else short


full_only = pytest.mark.skipif(not FULL, reason="takes long: make faults FULL=1")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = Results()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """The long trials are no tests of a short run, not even skipped ones."""
    return True if collection_path.name.startswith("test_full_") and not FULL else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    path, results = os.environ.get("FAULTS_REPORT"), session.config.stash[RESULTS]
    if path and results.trials:
        Path(path).write_text(report.written(results, full=FULL), encoding="utf-8")


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


@pytest.fixture
def make_lab(say: Say) -> Iterator[MakeLab]:
    """Labs of the test's own, ended with it."""
    made: list[Lab] = []
    folder = Path(tempfile.mkdtemp(prefix="booking-queue-faults-"))

    def make(*, kafka: bool = True, planted: Mapping[str, str] | None = None, **env: str) -> Lab:
        made.append(Lab(folder / f"lab{len(made)}", say, kafka=kafka, planted=planted, **env))
        return made[-1]

    yield make
    for lab in made:
        lab.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_lab(say: Say) -> Iterator[Lab]:
    """For trials that leave brokers and services as they were. Each asks for the workers that it wants."""
    folder = Path(tempfile.mkdtemp(prefix="booking-queue-faults-"))
    lab = Lab(folder, say)
    try:
        lab.start(workers=3)
        yield lab
    finally:
        lab.close()
        shutil.rmtree(folder, ignore_errors=True)
