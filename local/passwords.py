"""Secrets of the no-Docker mode: made at random once, kept in files that only this user can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from local.paths import SECRETS, private_folder


def secret_file(name: str) -> Path:
    """The file that holds the secret `name`, made where there is none."""
    path = private_folder(SECRETS) / name
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
    return path


def redis_password() -> str:
    return os.environ.get("REDIS_PASSWORD") or secret_file("redis_password").read_text()
