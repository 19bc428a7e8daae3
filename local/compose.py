"""The Makefile's words with Docker: thin over `docker compose`, which works as well by hand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from local import demo, watch
from local.mode import engine_trouble
from local.urls import print_urls, wait_until_serving

COMPOSE = ["docker", "compose"]
DEV_FILES = ["-f", "docker-compose.yml", "-f", "deploy/compose.dev.yml"]


def run(word: str, rest: list[str]) -> int:
    words: dict[str, Callable[[], int]] = {
        "up": up_with_urls,
        "up-infra": lambda: _compose("up", "--build", "--detach", "redis", "kafka"),
        "down": lambda: _compose("--profile", "*", "down"),
        "demo": lambda: up() or demo.run(),
        "dev": dev,
        "scale": lambda: scale(rest),
        "logs": lambda: _compose("logs", "--follow", "--tail", "50", *rest),
        "ps": lambda: _compose("ps"),
    }
    return words[word]()


def _compose(*words: str) -> int:
    try:
        return subprocess.run([*COMPOSE, *words], check=False).returncode
    except KeyboardInterrupt:
        return 0


def up(*files: str) -> int:
    failed = _compose(*files, "up", "--build", "--detach")
    if failed:
        return failed
    silent = wait_until_serving(120)
    if silent:
        print(f"Not serving: {', '.join(silent)}. `make logs S={silent[0]}` tells more.", file=sys.stderr)
        return 1
    return 0


def up_with_urls() -> int:
    failed = up()
    if not failed:
        print_urls()
    return failed


def scale(rest: list[str]) -> int:
    """The other workers go on undisturbed."""
    count = rest[0] if rest else ""
    if not count.isdecimal():
        print("usage: make scale N=4", file=sys.stderr)
        return 2
    return _compose("up", "--detach", "--no-deps", "--no-recreate", "--scale", f"worker={count}", "worker")


def dev() -> int:
    """The containers read this checkout's sources; a service starts again when they change."""

    def restart(names: list[str]) -> None:
        if services := [name for name in names if name != "frontend"]:
            _compose(*DEV_FILES, "restart", "--no-deps", *services)
        if "frontend" in names:
            _compose(*DEV_FILES, "up", "--build", "--detach", "--no-deps", "frontend")

    failed = up(*DEV_FILES)
    if not failed:
        print_urls()
        watch.until_interrupted(restart)
    return failed


def down_if_running() -> None:
    """Stop this project's containers, where there are any."""
    if engine_trouble() is None:
        listing = subprocess.run([*COMPOSE, "ps", "--quiet"], capture_output=True, text=True, check=False)
        if listing.stdout.strip():
            _compose("--profile", "*", "down")
