"""What the Makefile's words say with Docker; a shell stands in for `docker compose`, which is not what is tested."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from local import compose

NOISE = "echo '#7 [packages 3/4] RUN pip install'"


def test_what_goes_well_is_told_in_a_line_and_what_fails_in_full(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compose, "COMPOSE", ["sh"])
    assert compose._quietly("Building", "-c", NOISE) == 0
    out, err = capfd.readouterr()
    assert out == "" and re.fullmatch(r"Building … done after \d+ s\n", err)
    assert compose._quietly("Building", "-c", f"{NOISE}; echo no space >&2; exit 3") == 3
    told = capfd.readouterr().err
    assert re.match(r"Building … failed after \d+ s\n#7 \[packages 3/4\]", told) and "no space" in told


def test_ps_names_a_worker_as_bookings_do(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    told = [
        {"ID": "3f2a9c71d0be", "Service": "worker", "Status": "Up 2 minutes (healthy)", "Ports": ""},
        {"ID": "77aa01b2c3d4", "Service": "api", "Status": "Up 2 minutes", "Ports": "127.0.0.1:3000->3000/tcp"},
    ]
    lines = "\n".join(json.dumps(each) for each in told)
    monkeypatch.setattr(compose, "COMPOSE", ["sh", "-c", f"echo {shlex.quote(lines)}"])
    assert compose.ps() == 0
    head, worker, api = capfd.readouterr().out.splitlines()
    assert head.split() == ["NAME", "WORKER", "STATE", "ADDRESS"]
    assert worker.split()[:3] == ["worker", "3f2a9c71d0be", "Up"]
    assert "77aa01b2c3d4" not in api and api.endswith("127.0.0.1:3000->3000/tcp")
