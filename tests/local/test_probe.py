"""Suites that start side by side must not be given the same port."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from local import probe


@pytest.mark.skipif(sys.platform != "linux", reason="reserved on Linux alone")
def test_a_free_port_is_given_once_and_a_server_may_have_it() -> None:
    first = probe.free_port()
    asked = f"from local import probe; tries = iter(range({first}, 32_000)); "
    asked += "probe.random.randrange = lambda *_: next(tries); print(probe.free_port())"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=20)
    assert int(told.stdout) > first
    with socket.create_server((probe.LOOPBACK, first)), socket.create_connection((probe.LOOPBACK, first)):
        pass
    with socket.create_server((probe.LOOPBACK, first)):
        pass
