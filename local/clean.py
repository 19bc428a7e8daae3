"""`make clean`: stop the suite and remove everything that was made, so that the checkout is as cloned. Docker's volumes
are every clone's on this machine: that they go is said first, and with DOCKER=0 they stay.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from local import env
from local.mode import docker_volumes, engine_trouble, project
from local.paths import LOCAL, ROOT, shown
from local.venv import folder

CACHES = (".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "frontend/dist", "frontend/node_modules")


def main() -> None:
    try:
        env.load_env_file()
    except env.BadSetting as error:
        sys.exit(str(error))
    print("Stopping what runs", flush=True)
    _run([sys.executable, "-m", "local", "down"], stdout=subprocess.DEVNULL)  # which says that the data stays
    if os.environ.get("DOCKER") != "0" and engine_trouble() is None:
        print(f"Removing Docker's containers and volumes {project()}_*, also those that another clone made", flush=True)
        _run(["docker", "compose", "--profile", "*", "down", "--remove-orphans"])
        if volumes := docker_volumes():
            _run(["docker", "volume", "rm", *volumes], stdout=subprocess.DEVNULL)
    made = [path for path in (*(ROOT / name for name in CACHES), LOCAL, folder()) if path.exists()]
    print(f"Removing {', '.join(map(shown, made)) or 'nothing: nothing was made'}", flush=True)
    for path in made:
        shutil.rmtree(path, ignore_errors=True)


def _run(command: list[str], stdout: int | None = None) -> None:
    if failed := subprocess.run(command, cwd=ROOT, stdout=stdout, check=False).returncode:
        sys.exit(failed)


if __name__ == "__main__":
    main()
