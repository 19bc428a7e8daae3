"""Run once before the rest of the Compose suite: makes the secrets that are not there yet, as files.

A value given in the environment (`REDIS_PASSWORD`, `API_KEY`) is written instead. There is no default secret. With a
second folder (deploy/secure.yml) Redis has no default user: each service has one of its own, and a folder of its own in
there with what it needs, while the password of the first folder is the operator's.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from pathlib import Path

# Neither the server's own affairs (ACL, CONFIG SET, SHUTDOWN, REPLICAOF …) nor what takes everything (FLUSHALL, KEYS).
# INFO and CONFIG GET tell whether this Redis can hold a ledger.
USES = "~* &* +@all -@admin -@dangerous +info +config|get"
# It writes one thing: the mark by which it sees that Redis was emptied.
LOOKS = "%R~* ~*:epoch +@read +@connection +time +set -@dangerous +info +config|get"
USERS = dict.fromkeys(("api", "queue", "stream", "kafka-service", "worker"), USES) | {"monitoring": LOOKS}
OPERATOR = "operator"
NO_REDIS = "others"  # providers and Prometheus: they need the API key alone

NAMES = {"redis_password": "REDIS_PASSWORD", "api_key": "API_KEY"}


def write(path: Path, text: str) -> None:
    """Readable by this user and its group: Redis, which runs as another user, is in that group."""
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "w") as file:
        file.write(text)
    new.replace(path)


def secret(path: Path, given: str | None = None) -> str:
    if given or not path.exists():
        write(path, given or secrets.token_urlsafe(24))
    return path.read_text()


def make(folder: Path, users: Path | None = None) -> None:
    made = {name: secret(folder / name, os.environ.get(variable)) for name, variable in NAMES.items()}
    password = made["redis_password"]
    if '"' in password or "\\" in password or "\n" in password:
        sys.exit("REDIS_PASSWORD must not contain quotes, backslashes or line breaks")
    user = OPERATOR if users else "default"
    lines = user_lines(users, password, made["api_key"]) if users else [f'requirepass "{password}"']
    lines += [f"masteruser {user}", f'masterauth "{password}"']  # for a replica
    write(folder / "redis_user", user)
    write(folder / "redis.conf", "\n".join(lines) + "\n")


def user_lines(users: Path, password: str, api_key: str) -> list[str]:
    for name in (*USERS, NO_REDIS):
        write(users / name / "api_key", api_key)
    passwords = {name: secret(users / name / "redis_password") for name in USERS}
    return [
        # Nobody may come in as it; but Redis reads its append-only file as it, and drops what it is not allowed.
        "user default off resetpass ~* &* +@all",
        _line(OPERATOR, password, "~* &* +@all"),
        *(_line(name, passwords[name], rights) for name, rights in USERS.items()),
    ]


def _line(name: str, password: str, rights: str) -> str:
    return f"user {name} on #{hashlib.sha256(password.encode()).hexdigest()} {rights}"


if __name__ == "__main__":
    make(*map(Path, sys.argv[1:]))
