from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.suites import ComposeSuite, LocalSuite, Suite


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """The whole suite, once a session: SUITE=compose runs it by Docker Compose."""
    running: LocalSuite | ComposeSuite
    if os.environ.get("SUITE") == "compose":
        running = ComposeSuite()
    else:
        folder: Path = tmp_path_factory.mktemp("suite")
        running = LocalSuite(folder)
    try:
        running.up()
        yield running
    finally:
        running.close()
