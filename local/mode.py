"""With Docker or without: `DOCKER=1|0` says, else a Docker engine that answers does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import NoReturn

from local.paths import DATA, shown

LOOKING = ("scale", "stop", "start", "logs", "ps", "key")
NOTHING_RUNS = "Nothing runs. `make up` starts the suite."


@dataclass(frozen=True)
class Mode:
    docker: bool
    why: str

    def __str__(self) -> str:
        way = "with Docker" if self.docker else "without Docker (processes on this machine)"
        return f"booking-queue runs {way}: {self.why}."


class ModeImpossible(RuntimeError):
    """DOCKER=1 on a machine where no engine answers."""


def engine_trouble() -> str | None:
    """Why Docker cannot be used here, or None where it can."""
    docker = shutil.which("docker")
    if not docker:
        return "docker is not installed"
    for asked, trouble in (
        (["info", "--format", "{{.ServerVersion}}"], "no Docker engine answers"),
        (["compose", "version"], "docker compose is not installed"),
    ):
        try:
            done = subprocess.run([docker, *asked], capture_output=True, timeout=15, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return trouble
        if done.returncode:
            return trouble
    return None


def check_wish() -> None:
    wish = os.environ.get("DOCKER", "")
    if wish not in ("", "0", "1"):
        raise ModeImpossible(f"DOCKER={wish} is neither 1 (with Docker) nor 0 (without)")


def choose() -> Mode:
    check_wish()
    wish = os.environ.get("DOCKER", "")
    if wish == "0":
        return Mode(False, "DOCKER=0 says so")
    trouble = engine_trouble()
    if wish == "1":
        if trouble:
            raise ModeImpossible(f"DOCKER=1 was asked for, but {trouble}")
        return Mode(True, "DOCKER=1 says so")
    return Mode(False, trouble) if trouble else Mode(True, "a Docker engine answers")


def nothing_runs(word: str) -> NoReturn:
    """Which `ps` was asked for, and nobody else: what others print may be taken into a variable."""
    print(NOTHING_RUNS, file=sys.stdout if word == "ps" else sys.stderr)
    sys.exit(word != "ps")


def project() -> str:
    """How Docker's volumes and containers begin."""
    return os.environ.get("COMPOSE_PROJECT_NAME") or "booking-queue"


def docker_volumes() -> list[str]:
    """This project's, also of files that COMPOSE_FILE names no more: no `docker compose` knows those."""
    ask = ["docker", "volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={project()}"]
    return subprocess.run(ask, capture_output=True, text=True, timeout=5, check=False).stdout.split()


def other_data(mode: Mode) -> str | None:
    """Each way has data of its own. Said where the other one has some: it is not lost."""
    if mode.docker:
        told = f"What was done without Docker is in {shown(DATA)}: `DOCKER=0 make up` goes on with it."
        return told if (DATA / "redis").exists() else None
    if (DATA / "redis").exists() or not shutil.which("docker"):
        return None
    try:
        there = bool(docker_volumes())
    except (OSError, subprocess.TimeoutExpired):
        return None
    told = f"What was done with Docker is in its volumes {project()}_*: `DOCKER=1 make up` goes on with it."
    return told if there else None


def main() -> None:
    """Print 1 or 0, for the Makefile; the reason goes to standard error."""
    try:
        mode = choose()
    except ModeImpossible as error:
        sys.exit(str(error))
    print(mode, file=sys.stderr)
    print(int(mode.docker))


if __name__ == "__main__":
    main()
