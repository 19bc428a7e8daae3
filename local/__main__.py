"""`python3 -m local WORD`: the Makefile's words, the same with and without Docker.

Standard library alone: this runs before the virtual environment exists, and makes it where it is needed.
"""

from __future__ import annotations

import os
import sys

from local import compose, env, venv
from local.env import BadSetting
from local.mode import LOOKING, Mode, ModeImpossible, check_wish, choose, nothing_runs, other_data
from local.paths import ROOT, RUN
from local.ports import PortsTaken, check_free_for

STARTING = ("up", "up-infra", "dev", "demo")
WORDS = (*STARTING, "down", *LOOKING)
MOST_WORKERS = 100


def native_runs() -> bool:
    """Whether a suite of this checkout's processes lives."""
    try:
        os.kill(int((RUN / "supervisor.pid").read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def mode_for(word: str) -> Mode:
    """`DOCKER` says; a suite that runs as processes is meant by what looks at it; else an engine that answers."""
    if word not in STARTING and native_runs() and os.environ.get("DOCKER") != "1":
        return Mode(False, "it was started so")
    return choose()


def check_words(word: str, rest: list[str]) -> None:
    """What can be known to be wrong before anything is looked for."""
    if word == "scale" and not (len(rest) == 1 and rest[0].isdecimal() and int(rest[0]) <= MOST_WORKERS):
        given = f", not {' '.join(rest)!r}" if rest else ""
        raise BadSetting(f"usage: make scale N=4 (N: how many workers there shall be, 0 to {MOST_WORKERS}{given})")
    if word in ("stop", "start") and not rest:
        raise BadSetting(f"usage: make {word} S=kafka (S: which part; `make down` stops everything)")


def check_names(names: list[str]) -> None:
    """Docker Compose does this by itself, and knows some more."""
    if unknown := [name for name in names if name not in env.PARTS]:
        raise BadSetting(f"No part is called {', '.join(unknown)}. There are: {', '.join(sorted(env.PARTS))}.")


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in WORDS:
        sys.exit(f"usage: python3 -m local {'|'.join(WORDS)}")
    word, *rest = sys.argv[1:]
    os.chdir(ROOT)
    try:
        env.load_env_file()
        check_wish()
        check_words(word, rest)
        if word == "down" and not os.environ.get("DOCKER") and native_runs():
            compose.down_if_running()
        mode = mode_for(word)
        print(mode, file=sys.stderr, flush=True)
        if word in STARTING and (told := other_data(mode)):
            print(told, file=sys.stderr, flush=True)
        if mode.docker:
            sys.exit(compose.run(word, rest))
        if word in ("logs", "stop", "start"):
            check_names(rest)
        if word in LOOKING and not native_runs():
            nothing_runs(word)
        if word == "down" and not venv.python().exists():
            print("Nothing ran.")
            return
        if word in STARTING and not native_runs():  # else it is our own processes that hold the ports
            env.check()
            check_free_for(word)
        # What looks at a running suite leaves the environment it runs in alone.
        python = venv.ensure("local") if word in STARTING else venv.python()
    except (BadSetting, ModeImpossible, PortsTaken, venv.VenvFailed) as error:
        sys.exit(str(error))
    os.execv(python, [str(python), "-m", "local.native", word, *rest])  # noqa: S606 - becomes that program


if __name__ == "__main__":
    main()
