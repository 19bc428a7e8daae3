"""`python3 -m local WORD`: the Makefile's words, the same with and without Docker.

Standard library alone: this runs before the virtual environment exists, and makes it where it is needed.
"""

from __future__ import annotations

import os
import sys

from local import compose, venv
from local.env import BadSetting, load_env_file
from local.mode import Mode, ModeImpossible, choose
from local.paths import ROOT, RUN

WORDS = ("up", "up-infra", "down", "dev", "demo", "scale", "logs", "ps")


def native_runs() -> bool:
    """Whether a suite of this checkout's processes lives."""
    try:
        os.kill(int((RUN / "supervisor.pid").read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def mode_for(word: str) -> Mode:
    """`DOCKER` says; a suite that runs as processes is meant by what looks at it; else an engine that answers."""
    if word not in ("up", "up-infra", "dev", "demo") and native_runs() and os.environ.get("DOCKER") != "1":
        return Mode(False, "the suite runs as processes on this machine")
    return choose()


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in WORDS:
        sys.exit(f"usage: python3 -m local {'|'.join(WORDS)}")
    word, *rest = sys.argv[1:]
    os.chdir(ROOT)
    try:
        load_env_file()
        if word == "down" and not os.environ.get("DOCKER") and native_runs():
            compose.down_if_running()
        mode = mode_for(word)
        print(mode, file=sys.stderr, flush=True)
        if mode.docker:
            sys.exit(compose.run(word, rest))
        if word in ("down", "ps") and not venv.python().exists():
            print("Nothing runs.")
            return
        python = venv.ensure("local")
    except (BadSetting, ModeImpossible, venv.VenvFailed) as error:
        sys.exit(str(error))
    os.execv(python, [str(python), "-m", "local.native", word, *rest])  # noqa: S606 - becomes that program


if __name__ == "__main__":
    main()
