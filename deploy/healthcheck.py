"""The containers' health check: the process behind PORT answers /livez."""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException


def is_alive(port: int) -> bool:
    try:
        link = HTTPConnection("127.0.0.1", port, timeout=4)
        link.request("GET", "/livez")
        return link.getresponse().status == 200
    except (OSError, HTTPException):
        return False


if __name__ == "__main__":
    sys.exit(not is_alive(int(os.environ["PORT"])))
