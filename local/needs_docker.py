"""Stops with the reason where Docker cannot be used."""

from __future__ import annotations

import sys

from local.mode import engine_trouble


def main() -> None:
    trouble = engine_trouble()
    sys.exit(f"This needs Docker: {trouble}." if trouble else 0)


if __name__ == "__main__":
    main()
