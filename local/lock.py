"""`make lock`: write `lock/*.txt` from pyproject.toml, for every platform, with hashes and without addresses."""

from __future__ import annotations

import subprocess
import sys

from local.paths import CACHE, ROOT

# Each file is a constraint on the ones after it, so that a package has one version in all of them.
FILES = {
    "runtime.txt": [],
    "local.txt": ["--group", "pyproject.toml:local"],
    "dev.txt": ["--group", "pyproject.toml:dev"],
}
OPTIONS = [
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-annotate",
    "--quiet",
    "--custom-compile-command=make lock",
]


def main() -> None:
    home = CACHE / "uv"
    uv = home / "bin" / "uv"
    if not uv.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "-q", "uv"], check=True)
    for name, groups in FILES.items():
        compile_one = [str(uv), "pip", "compile", "pyproject.toml", *groups, *OPTIONS, "-o", f"lock/{name}"]
        done = [word for earlier in list(FILES)[: list(FILES).index(name)] for word in ("-c", f"lock/{earlier}")]
        subprocess.run([*compile_one, *done, *sys.argv[1:]], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
