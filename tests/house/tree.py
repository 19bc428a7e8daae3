"""The files of this project, as its own tests see them."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = (
    "api_service",
    "queue_service",
    "stream_service",
    "kafka_service",
    "worker_service",
    "monitoring_service",
    "providers",
)
PRODUCT = ("booking_queue", *SERVICES)
NOT_OURS = {".venv", ".local", ".git", "node_modules", "dist", "__pycache__", ".mypy_cache", ".ruff_cache"}


@cache
def files() -> tuple[str, ...]:
    """Every file that is, or is about to be, committed; paths from the root, with slashes."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\0")
        return tuple(sorted(path for path in listed if path and (ROOT / path).is_file()))
    except (OSError, subprocess.CalledProcessError):  # a checkout without git, as in the test image
        return tuple(sorted(_walked()))


def _walked() -> Iterator[str]:
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        for name in names:
            yield (Path(folder) / name).relative_to(ROOT).as_posix()


def python_files(*tops: str) -> list[str]:
    """Those in the given top folders; all without."""
    return [path for path in files() if path.endswith(".py") and (not tops or path.split("/")[0] in tops)]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def parsed(path: str) -> ast.Module:
    return ast.parse(read(path), path)


def imports(path: str) -> Iterator[tuple[str, int]]:
    """Full names of the modules it imports, wherever in the file, each with its line."""
    package = path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module, node.lineno
            for alias in node.names:
                yield f"{module}.{alias.name}", node.lineno


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def complain(rule: str, found: list[str]) -> None:
    """One message with every place, so that one run tells all."""
    assert not found, rule + "\n  " + "\n  ".join(sorted(set(found)))
