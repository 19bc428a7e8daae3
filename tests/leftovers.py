"""Brokers and services of test runs that were killed: found by a mark that their descendants carry, and ended."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess

import psutil

# In the environment of everything that a test run starts, and on its containers: the run's process id.
MARK = "BOOKING_QUEUE_TEST_RUN"


def mark_this_run() -> None:
    """From here on SIGTERM lets the fixtures clean up, as Ctrl-C does; after SIGKILL the next run does it."""
    os.environ[MARK] = str(os.getpid())
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def labels() -> dict[str, str]:
    return {MARK: os.environ.get(MARK, ""), f"{MARK}_HOST": socket.gethostname()}


def sweep() -> None:
    """End what dead runs left."""
    for process in psutil.process_iter():
        try:
            run = process.environ().get(MARK)
        except psutil.Error:
            continue
        if run and not _lives(run):
            process.kill()


def sweep_containers() -> None:
    docker = shutil.which("docker")
    if not docker:
        return
    host = f"label={MARK}_HOST={socket.gethostname()}"
    shown = f'{{{{.ID}}}} {{{{.Label "{MARK}"}}}}'
    listing = subprocess.run(
        [docker, "ps", "--all", "--filter", host, "--format", shown], capture_output=True, text=True, check=False
    )
    for line in listing.stdout.splitlines():
        container, _, run = line.partition(" ")
        if not _lives(run):
            subprocess.run([docker, "rm", "--force", "--volumes", container], capture_output=True, check=False)


def _lives(run: str) -> bool:
    return run.isdecimal() and psutil.pid_exists(int(run))
