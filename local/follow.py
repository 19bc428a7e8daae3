"""Follows the log files of the suite's processes, each line with the name of the part it comes from."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TextIO

from local.paths import LOGS

LAST_LINES = 50


def follow(names: list[str]) -> None:
    """Print the last lines and then what comes, until interrupted. No name means every part."""
    files: dict[Path, TextIO] = {}
    try:
        while True:
            for path in sorted(LOGS.glob("*.log")):
                if path not in files and (not names or path.stem in names):
                    files[path] = _open_near_end(path)
            came = [_print_new(path, file) for path, file in files.items()]
            if True not in came:
                time.sleep(0.2)
    except KeyboardInterrupt:
        print()
    finally:
        for file in files.values():
            file.close()


def _open_near_end(path: Path) -> TextIO:
    file = path.open(errors="replace")
    for line in file.readlines()[-LAST_LINES:]:
        _print(path, line)
    return file


def _print_new(path: Path, file: TextIO) -> bool:
    if path.stat().st_size < file.tell():
        file.seek(0)
    lines = file.readlines()
    for line in lines:
        _print(path, line)
    return bool(lines)


def _print(path: Path, line: str) -> None:
    print(f"{path.stem:<14}| {line.rstrip()}", flush=True)
