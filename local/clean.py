"""`make clean`: stop the suite and remove everything that was made, so that the checkout is as cloned."""

from __future__ import annotations

import shutil
import subprocess
import sys

from local.mode import engine_trouble
from local.paths import LOCAL, ROOT
from local.venv import folder

CACHES = (".pytest_cache", ".mypy_cache", ".ruff_cache", "frontend/dist", "frontend/node_modules")


def main() -> None:
    subprocess.run([sys.executable, "-m", "local", "down"], cwd=ROOT, check=True)
    if engine_trouble() is None:
        subprocess.run(["docker", "compose", "--profile", "*", "down", "--volumes"], cwd=ROOT, check=True)
    for path in (*(ROOT / name for name in CACHES), LOCAL, folder()):
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
