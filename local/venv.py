"""The virtual environment: made with this Python and pip from the locked, hashed requirements in `lock/`.

`python3 -m local.venv local` is enough to run the suite, `dev` adds what tests and checks need.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from local.paths import ROOT

# Each level contains the ones before it.
LOCKS = {"local": ["local.txt"], "dev": ["local.txt", "dev.txt"]}
OLDEST = (3, 11)


class VenvFailed(RuntimeError):
    """The virtual environment could not be made; the message says what to do."""


def folder() -> Path:
    return Path(os.environ.get("VENV") or ROOT / ".venv").absolute()


def python() -> Path:
    return folder() / "bin" / "python"


def ensure(level: str) -> Path:
    """The environment's Python, with what `level` needs installed. Quick where nothing changed."""
    if sys.version_info < OLDEST:
        raise VenvFailed(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}. Set PYTHON=python3.x")
    levels = list(LOCKS)
    if any(_stamp(at).exists() and _stamp(at).read_text() == _fingerprint(at) for at in levels[levels.index(level) :]):
        return python()
    if not python().exists():
        print(f"Making the virtual environment {folder()}", file=sys.stderr, flush=True)
        _run(
            [sys.executable, "-m", "venv", str(folder())],
            "`apt-get install python3-venv` where Debian's is used",
        )
    print("Installing the locked requirements (once)", file=sys.stderr, flush=True)
    if subprocess.run([python(), "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        _run([str(python()), "-m", "ensurepip"], "remove the folder and run again")
    files = [word for name in LOCKS[level] for word in ("-r", str(ROOT / "lock" / name))]
    pip = [str(python()), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes"]
    _run([*pip, *files], "look at the lines above")
    _stamp(level).write_text(_fingerprint(level))
    return python()


def _stamp(level: str) -> Path:
    return folder() / f".installed-{level}"


def _fingerprint(level: str) -> str:
    locks = b"".join((ROOT / "lock" / name).read_bytes() for name in LOCKS[level])
    return hashlib.sha256(locks).hexdigest()


def _run(command: list[str], remedy: str) -> None:
    if subprocess.run(command, check=False).returncode:
        raise VenvFailed(f"`{' '.join(command[:4])} …` failed: {remedy}.")


def main() -> None:
    try:
        print(ensure(sys.argv[1] if len(sys.argv) > 1 else "local"))
    except VenvFailed as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
