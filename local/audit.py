"""`make audit`: ask the registries' advisory databases about every package that is locked, those of the pages too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from local.lock import FILES
from local.node import FRONTEND, find_node
from local.paths import CACHE, ROOT


def main() -> None:
    failed = [name for name in FILES if not _well(_pip_audit(), ROOT, f"lock/{name}")]
    if not _well([*find_node().npm, "audit"], FRONTEND):
        failed.append("frontend/package-lock.json")
    if failed:
        sys.exit(f"\nNot clean, or not to be asked; the lines above tell: {', '.join(failed)}")


def _pip_audit() -> list[str]:
    """In an environment of its own: what checks is not among what is checked. What cannot be asked is not clean."""
    home = CACHE / "pip-audit"
    program = home / "bin" / "pip-audit"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "-q", "pip-audit"], check=True)
    return [str(program), "--strict", "--disable-pip", "--progress-spinner=off", "-r"]


def _well(command: list[str], folder: Path, *rest: str) -> bool:
    print(f"{rest[0] if rest else 'frontend/package-lock.json'}: ", end="", flush=True)
    return subprocess.run([*command, *rest], cwd=folder, check=False).returncode == 0


if __name__ == "__main__":
    main()
