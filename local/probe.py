"""Questions asked of a port: is it free, who holds it, does Redis or Kafka answer there?"""

from __future__ import annotations

import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable

LOOPBACK = "127.0.0.1"
QUIET_PORTS = (20_000, 32_000)  # below what Linux and macOS take for outgoing connections


_reserved: deque[socket.socket] = deque(maxlen=64)


def free_port() -> int:
    """Not one that the system gives to outgoing connections, and none that was given to another process lately: it
    might be gone before somebody listens on it."""
    while True:
        port, probe = random.randrange(*QUIET_PORTS), socket.socket()
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            probe.close()
            continue
        if sys.platform == "linux":  # there it stays bound, which keeps out who asks as we do, and no server
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _reserved.append(probe)
        else:
            probe.close()
        return port


def holder(port: int) -> str:
    """The process that listens on `port`, as `name (pid N)`, or an empty string if that cannot be told."""
    for command, pattern in (
        (["ss", "-ltnpH", f"sport = :{port}"], r'\(\("(?P<name>[^"]+)",pid=(?P<pid>\d+)'),
        (["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN"], r"^(?P<name>(?!COMMAND)\S+)\s+(?P<pid>\d+)"),
    ):
        if shutil.which(command[0]):
            listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            if found := re.search(pattern, listing, re.MULTILINE):
                return f"{found['name']} (pid {found['pid']})"
    return ""


def redis_answers(host: str, port: int, password: str | None = None) -> bool:
    """Whether a Redis there accepts the password and has finished loading its data."""
    login = f"AUTH {password}\r\n" if password else ""
    try:
        with socket.create_connection((host, port), timeout=2) as link:
            link.sendall(f"{login}PING\r\n".encode())
            answer = b""
            while answer.count(b"\n") < (2 if password else 1):
                chunk = link.recv(256)
                if not chunk:
                    break
                answer += chunk
    except OSError:
        return False
    return b"+PONG" in answer


def kafka_answers(host: str, port: int) -> bool:
    """Whether a Kafka there answers an ApiVersions request (its port opens a little before it serves)."""
    request = struct.pack(">hhih", 18, 0, 1, -1)
    try:
        with socket.create_connection((host, port), timeout=2) as link:
            link.sendall(struct.pack(">i", len(request)) + request)
            return len(link.recv(8)) > 0
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.05) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(every)
    return condition()
