"""The process that watches over the suite: circus, told by `.local/run/plan.json` what to run.

It starts nothing by itself (`local.control` does, in order); what it was told to run it starts again when
it dies. Every program writes straight into its own log file, which is cut when it grows large.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from circus import get_arbiter  # type: ignore[import-untyped]
from circus.exc import ConflictError  # type: ignore[import-untyped]
from tornado.ioloop import PeriodicCallback

from local.paths import LOGS, RUN, private_folder
from local.restarts import NOTES, Restarts

PLAN = RUN / "plan.json"
PID = RUN / "supervisor.pid"
ENDPOINT = f"ipc://{RUN / 'control.sock'}"
EVENTS = f"ipc://{RUN / 'events.sock'}"
LARGEST_LOG = 20_000_000


def watcher(part: dict[str, Any], restarts: Restarts) -> dict[str, Any]:
    """A circus watcher; the shell is replaced by the program, so signals reach it."""
    log = LOGS / f"{part['name']}.log"
    return {
        "name": part["name"],
        "cmd": "/bin/sh",
        "args": ["-c", 'exec "$@" >>"$0" 2>&1', str(log), *part["command"]],
        "working_dir": part["folder"],
        "env": {**os.environ, **part["env"]},
        "numprocesses": part["count"],
        "graceful_timeout": part["patience"],
        "autostart": False,
        "max_retry": -1,
        "hooks": {"after_spawn": (restarts.after_spawn, True), "before_signal": (restarts.before_signal, True)},
    }


def cut_long_logs(largest: int = LARGEST_LOG) -> None:
    """Keep one older piece of each log. Programs append, so they go on at the start of the emptied file."""
    for log in LOGS.glob("*.log"):
        if log.stat().st_size > largest:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)


def is_news(record: logging.LogRecord) -> bool:
    """A look at the processes that came at a bad time is none: circus looks again half a second later."""
    return not (record.exc_info and isinstance(record.exc_info[1], ConflictError))


def main() -> None:
    logging.getLogger("tornado.application").addFilter(is_news)
    private_folder(LOGS)
    parts = json.loads(PLAN.read_text())
    NOTES.unlink(missing_ok=True)
    restarts = Restarts()
    arbiter = get_arbiter(
        [watcher(part, restarts) for part in parts],
        controller=ENDPOINT,
        pubsub_endpoint=EVENTS,
        multicast_endpoint="",
        check_delay=0.5,
    )
    Path(PID).write_text(str(os.getpid()))
    PeriodicCallback(cut_long_logs, 10_000).start()
    try:
        arbiter.start()
    finally:
        Path(PID).unlink(missing_ok=True)
    sys.exit(0)


if __name__ == "__main__":
    main()
