"""The Makefile's words with Docker: thin over `docker compose`, which works as well by hand."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TextIO

from local import demo, env, watch
from local.mode import LOOKING, engine_trouble, nothing_runs, project
from local.ports import PortsTaken, check_free
from local.urls import print_urls, wait_for_kafka, wait_until_serving

COMPOSE = ["docker", "compose"]
API_KEY = [*COMPOSE, "exec", "-T", "api", "cat", "/run/booking-queue/api_key"]
REDIS_PASSWORD = [*COMPOSE, "exec", "-T", "redis", "cat", "/run/booking-queue/redis_password"]
PS_FORM = "{:<15}{:<14}{:<36}{}"
DEV_FILES = ["-f", "docker-compose.yml", "-f", "deploy/compose.dev.yml"]
# Before anything is started that would only fail and be started again. There are no secrets yet.
NO_SECRETS = ["-e", "REDIS_PASSWORD_FILE=", "-e", "API_KEY_FILE="]
CHECK = ["run", "--rm", "--no-deps", "-T", *NO_SECRETS, "api", "python", "-m", "booking_queue.settings_read"]


def run(word: str, rest: list[str]) -> int:
    words: dict[str, Callable[[], int]] = {
        "up": up_with_urls,
        "up-infra": up_infra,
        "down": down,
        "demo": show,
        "dev": dev,
        "scale": lambda: scale(rest[0]),
        "stop": lambda: _compose("stop", *rest),
        "start": lambda: _compose("start", *rest),
        "logs": lambda: _compose("logs", "--follow", "--tail", "50", *rest),
        "ps": ps,
        "key": lambda: subprocess.run(API_KEY, check=False).returncode,
    }
    if word in LOOKING and not _runs():
        nothing_runs(word)
    return words[word]()


def _runs() -> list[str]:
    """The services of this project that have a container, running or crashing."""
    listing = subprocess.run(
        [*COMPOSE, "--profile", "*", "ps", "--all", "--format", "{{.Service}} {{.State}}"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = (line.split() for line in listing.splitlines())
    return sorted({name for name, state in found if state in ("running", "restarting", "paused")})


def _compose(*words: str, out: TextIO | None = None) -> int:
    try:
        return subprocess.run([*COMPOSE, *words], stdout=out, check=False).returncode
    except KeyboardInterrupt:
        return 0


def _quietly(title: str, *words: str) -> int:
    """One line while it goes well; where it fails, all that it said."""
    begun = time.monotonic()
    print(f"{title} …", end="", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(
            [*COMPOSE, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
    except KeyboardInterrupt:
        return 130
    ended = "failed" if done.returncode else "done"
    print(f" {ended} after {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    if done.returncode:
        print(done.stdout, file=sys.stderr, flush=True)
    return done.returncode


def up(*files: str) -> int:
    try:
        env.check()
        if not _runs():  # else it is our own containers that hold the ports
            check_free((name for name in env.PORTS if name != "kafka-controller"), could_be_given=False)
    except (PortsTaken, env.BadSetting) as error:
        print(error, file=sys.stderr)
        return 1
    failed = (
        _quietly("Building the images (minutes, the first time)", *files, "build")
        or _quietly("Checking the settings", *CHECK)
        or _quietly("Starting the containers (Redis and Kafka are fetched once)", *files, "up", "--detach")
    )
    if failed:
        return failed
    print("Waiting until all services serve", file=sys.stderr, flush=True)
    silent = wait_until_serving(120)
    if silent:
        print(f"Not serving: {', '.join(silent)}. `make logs S={silent[0]}` tells more.", file=sys.stderr)
        return 1
    return 0


def up_with_urls() -> int:
    failed = up()
    if not failed:
        wait_for_kafka()
        print_urls()
    return failed


def up_infra() -> int:
    """Standard output is for a shell to read: `eval "$(make -s up-infra)"`."""
    failed = _compose("up", "--build", "--detach", "redis", "kafka", out=sys.stderr)
    if not failed:
        print(f"export REDIS_HOST=127.0.0.1\nexport REDIS_PORT={env.port('redis')}")
        print(f'export REDIS_PASSWORD="$({shlex.join(REDIS_PASSWORD)})"')
        print(f"export KAFKA_BROKER=127.0.0.1:{env.port('kafka')}")
    return failed


def show() -> int:
    failed = up()
    if failed:
        return failed
    if os.environ.get("AUTH") == "required" and not os.environ.get("API_KEY"):
        os.environ["API_KEY"] = subprocess.run(API_KEY, capture_output=True, text=True, check=True).stdout
    well = demo.run()
    print_urls()
    return 0 if well else 1


def scale(count: str) -> int:
    """The other workers go on undisturbed."""
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


def ps() -> int:
    """A worker's name is its container's id, which is its host name."""
    command = [*COMPOSE, "ps", "--all", "--format", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(PS_FORM.format("NAME", "WORKER", "STATE", "ADDRESS"))
    for told in map(json.loads, done.stdout.splitlines()):
        worker = told["ID"] if told["Service"] == "worker" else ""
        print(PS_FORM.format(told["Service"], worker, told["Status"], told["Ports"]).rstrip())
    return done.returncode


def down() -> int:
    ran = _runs()
    failed = _quietly("Stopping the containers", "--profile", "*", "down")
    if not failed:
        print(f"Stopped: {', '.join(ran)}." if ran else "Nothing ran.")
        if ran:
            print(f"The data stays in Docker's volumes {project()}_*: `make up` goes on, `make clean` removes it.")
    return failed


def down_if_running() -> None:
    """Stop this project's containers, where there are any."""
    if engine_trouble() is None and _runs():
        down()
