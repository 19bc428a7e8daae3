"""`make up-infra` without Docker, as a developer runs it: real processes in a folder of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.probe import free_port, kafka_answers, redis_answers, wait_until

ROOT = Path(__file__).resolve().parents[2]


class Developer:
    def __init__(self, folder: Path) -> None:
        # The cache of this checkout is used: what is tried here is starting, not fetching.
        folder.mkdir()
        (ROOT / ".local" / "cache").mkdir(parents=True, exist_ok=True)
        (folder / "cache").symlink_to(ROOT / ".local" / "cache")
        self.folder = folder
        ports = {f"{name}_PORT": str(free_port()) for name in ("REDIS", "KAFKA", "KAFKA_CONTROLLER")}
        given = ("REDIS_HOST", "KAFKA_BROKER", "REDIS_PASSWORD")
        inherited = {name: value for name, value in os.environ.items() if name not in given}
        self.env = {**inherited, **ports, "LOCAL_DIR": str(folder)}
        self.redis, self.kafka = int(ports["REDIS_PORT"]), int(ports["KAFKA_PORT"])

    def run(self, word: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "local.native", word]
        return subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=300, check=False)

    @property
    def password(self) -> str:
        return (self.folder / "secrets" / "redis_password").read_text()

    def pid(self, program: str) -> int:
        """Of the program whose command line names this folder."""
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if program in line and str(self.folder) in line:
                return process.pid
        raise AssertionError(f"no {program} of {self.folder}")


@pytest.fixture
def developer() -> Iterator[Developer]:
    with tempfile.TemporaryDirectory(prefix="bq-") as short:  # a path that a socket's name has room behind
        made = Developer(Path(short) / "local")
        yield made
        made.run("down")


def test_brokers_come_up_come_back_and_go(developer: Developer) -> None:
    started = developer.run("up-infra")
    assert started.returncode == 0, started.stderr
    assert f"export REDIS_PORT={developer.redis}\n" in started.stdout
    assert f"export KAFKA_BROKER=127.0.0.1:{developer.kafka}\n" in started.stdout
    assert developer.password not in started.stdout + started.stderr
    assert redis_answers("127.0.0.1", developer.redis, developer.password)
    assert not redis_answers("127.0.0.1", developer.redis, "a guess")
    assert not redis_answers("127.0.0.1", developer.redis)
    assert wait_until(lambda: kafka_answers("127.0.0.1", developer.kafka), 60)

    killed = developer.pid("redis.conf")
    os.kill(killed, signal.SIGKILL)
    assert wait_until(lambda: redis_answers("127.0.0.1", developer.redis, developer.password), 10)
    assert developer.pid("redis.conf") != killed

    again = time.monotonic()
    assert developer.run("up-infra").returncode == 0
    assert time.monotonic() - again < 10

    stopped = developer.run("down")
    assert (stopped.returncode, stopped.stderr) == (0, "Stopping redis, kafka …\n")
    assert not redis_answers("127.0.0.1", developer.redis, developer.password)
    assert not kafka_answers("127.0.0.1", developer.kafka)


def test_what_a_killed_supervisor_left_behind_is_ended(developer: Developer) -> None:
    assert developer.run("up-infra").returncode == 0
    os.kill(int((developer.folder / "run" / "supervisor.pid").read_text()), signal.SIGKILL)
    assert redis_answers("127.0.0.1", developer.redis, developer.password)
    assert developer.run("down").returncode == 0
    assert not redis_answers("127.0.0.1", developer.redis, developer.password)


def test_a_port_in_use_is_named_with_its_holder_and_the_remedy(developer: Developer) -> None:
    with socket.create_server(("127.0.0.1", developer.redis)):
        refused = developer.run("up-infra")
    assert refused.returncode == 1
    assert f"Port {developer.redis} (redis) is taken by " in refused.stderr
    assert ": REDIS_PORT\nEnd what holds them, or set these variables to free ports" in refused.stderr
    assert "Traceback" not in refused.stderr
