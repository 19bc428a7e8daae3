"""`make clean` in a checkout of its own. A program that notes its words stands in for Docker, which is not tried."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKER = """#!/bin/sh
echo "$@" >>{notes}
test "$1 $2" = "volume ls" && echo one && echo two
exit 0
"""


@pytest.mark.parametrize(
    ("docker", "env_file", "removed"), [("0", "", False), ("", "DOCKER=0", False), ("", "", True), ("1", "", True)]
)
def test_docker_s_volumes_stay_where_the_way_is_without_docker(
    tmp_path: Path, docker: str, env_file: str, removed: bool
) -> None:
    notes = tmp_path / "notes"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER.format(notes=notes))
    (tmp_path / "bin" / "docker").chmod(0o755)
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "local", checkout / "local")
    (checkout / ".local" / "data").mkdir(parents=True)
    (checkout / ".env").write_text(env_file)
    given = ("LOCAL_DIR", "VENV", "DOCKER", "COMPOSE_PROJECT_NAME", "COMPOSE_FILE")
    inherited = {name: value for name, value in os.environ.items() if name not in given}
    told = subprocess.run(
        [sys.executable, "-m", "local.clean"],
        cwd=checkout,
        env={**inherited, "PATH": f"{tmp_path / 'bin'}:/bin", **({"DOCKER": docker} if docker else {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert not (checkout / ".local").exists()
    asked = notes.read_text() if notes.exists() else ""
    assert ("compose --profile * down --remove-orphans\n" in asked) == removed
    # Also those of files that COMPOSE_FILE does not name any more.
    assert ("volume rm one two\n" in asked) == removed
    assert ("Removing Docker's containers and volumes booking-queue_*" in told.stdout) == removed
    assert "stays" not in told.stdout, "nothing does"
