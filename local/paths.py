"""Where the no-Docker mode keeps things: everything it makes stays in `.local/`, which git ignores."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCAL = Path(os.environ.get("LOCAL_DIR") or ROOT / ".local").absolute()
CACHE = LOCAL / "cache"
DATA = LOCAL / "data"
LOGS = LOCAL / "logs"
RUN = LOCAL / "run"
SECRETS = LOCAL / "secrets"


def shown(path: Path) -> str:
    """As one types it in the checkout."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def private_folder(path: Path) -> Path:
    """Make `path`, which only this user may enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
