"""Run once before the rest of the Compose suite: makes the secrets that are not there yet, as files.

A value given in the environment (`REDIS_PASSWORD`, `API_KEY`) is written instead. There is no default secret.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

NAMES = {"redis_password": "REDIS_PASSWORD", "api_key": "API_KEY"}


def write(path: Path, text: str) -> None:
    """Readable by this user and its group: Redis, which runs as another user, is in that group."""
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "w") as file:
        file.write(text)
    new.replace(path)


def make(folder: Path) -> None:
    for name, variable in NAMES.items():
        path = folder / name
        given = os.environ.get(variable)
        if given:
            write(path, given)
        elif not path.exists():
            write(path, secrets.token_urlsafe(24))
    password = (folder / "redis_password").read_text()
    if '"' in password or "\\" in password or "\n" in password:
        sys.exit("REDIS_PASSWORD must not contain quotes, backslashes or line breaks")
    write(folder / "redis.conf", f'requirepass "{password}"\n')


if __name__ == "__main__":
    make(Path(sys.argv[1]))
