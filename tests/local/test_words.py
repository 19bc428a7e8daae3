"""What is answered at once: a wrong word, or a look at a suite that does not run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local import env, ports
from local.probe import free_port

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    begun = time.monotonic()
    told = subprocess.run(
        [sys.executable, "-m", "local", *words],
        cwd=ROOT,
        env={**os.environ, "LOCAL_DIR": str(folder), "DOCKER": "0", **more},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert time.monotonic() - begun < 20
    assert "Traceback" not in told.stderr
    return told


@pytest.mark.parametrize("words", [("logs",), ("logs", "worker"), ("scale", "4"), ("stop", "kafka"), ("ps",), ("key",)])
def test_nothing_runs(tmp_path: Path, words: tuple[str, ...]) -> None:
    told = run(tmp_path, *words)
    assert (told.stdout if words == ("ps",) else told.stderr).endswith("Nothing runs. `make up` starts the suite.\n")
    assert told.returncode == (0 if words == ("ps",) else 1)


def test_why_what_runs_is_looked_at_without_docker_is_no_repetition(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "supervisor.pid").write_text(str(os.getpid()))
    told = run(tmp_path, "ps", DOCKER="", VENV=sys.prefix).stderr
    assert told == "booking-queue runs without Docker (processes on this machine): it was started so.\n"


def test_the_key_is_printed_alone(tmp_path: Path) -> None:
    for folder in ("run", "secrets"):
        (tmp_path / folder).mkdir()
    (tmp_path / "run" / "supervisor.pid").write_text(str(os.getpid()))
    assert "AUTH=required" in run(tmp_path, "key", DOCKER="", VENV=sys.prefix).stderr
    (tmp_path / "secrets" / "api_key").write_text("of the operator")
    assert run(tmp_path, "key", DOCKER="", VENV=sys.prefix).stdout == "of the operator\n"


def test_down_says_that_nothing_ran(tmp_path: Path) -> None:
    assert run(tmp_path, "down", VENV=sys.prefix).stdout == "Nothing ran.\n"


@pytest.mark.parametrize(("answers", "word"), [(True, "DOCKER=0 make up"), (False, "make up")])
def test_down_says_how_to_go_on_with_the_same_data(tmp_path: Path, answers: bool, word: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "docker").write_text(f"#!/bin/sh\nexit {int(not answers)}\n")
    (tmp_path / "docker").chmod(0o755)
    told = run(tmp_path, "down", VENV=sys.prefix, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert f"/data: `{word}` goes on with it, `make clean` removes it.\n" in told.stdout


def test_an_unknown_part_is_answered_with_those_there_are(tmp_path: Path) -> None:
    told = run(tmp_path, "logs", "foo")
    assert told.returncode == 1
    assert "No part is called foo. There are: api, frontend, kafka," in told.stderr


@pytest.mark.parametrize("words", [(), ("x",), ("-1",), ("101",), ("2", "3")])
def test_scale_says_how_it_is_used(tmp_path: Path, words: tuple[str, ...]) -> None:
    told = run(tmp_path, "scale", *words)
    assert told.returncode == 1
    assert told.stderr.startswith("usage: make scale N=4")


@pytest.mark.parametrize("word", ["up", "down", "ps", "logs"])
def test_docker_is_0_or_1_for_every_word(tmp_path: Path, word: str) -> None:
    told = run(tmp_path, word, DOCKER="2")
    assert (told.returncode, told.stderr) == (1, "DOCKER=2 is neither 1 (with Docker) nor 0 (without)\n")


@pytest.mark.parametrize("word", ["up", "demo", "up-infra"])
def test_a_port_that_is_taken_is_said_before_anything_is_fetched(tmp_path: Path, word: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as redis:
        taken = str(redis.getsockname()[1])
        # This Python would refuse to make an environment of a file.
        (tmp_path / "file").touch()
        told = run(tmp_path, word, REDIS_PORT=taken, REDIS_HOST="", REDIS_SENTINELS="", VENV=str(tmp_path / "file"))
    assert told.returncode == 1
    assert f"Port {taken} (redis) is taken by " in told.stderr
    assert "Making the virtual environment" not in told.stderr


def test_all_ports_that_are_taken_are_named_with_their_holders(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as api, socket.create_server(("127.0.0.1", 0)) as redis:
        monkeypatch.setenv("API_PORT", str(api.getsockname()[1]))
        monkeypatch.setenv("REDIS_PORT", str(redis.getsockname()[1]))
        monkeypatch.setenv("QUEUE_PORT", str(free_port()))
        with pytest.raises(ports.PortsTaken) as refused:
            ports.check_free(["api", "queue", "redis"])
        first, second, remedy = str(refused.value).splitlines()
        assert first.startswith(f"Port {env.port('api')} (api) is taken by ")
        assert first.endswith(": API_PORT")
        assert second.startswith(f"Port {env.port('redis')} (redis) is taken by ")
        assert remedy.startswith("End what holds them, or set these variables to free ports")
        assert remedy.endswith("To use that Redis, set REDIS_HOST.")
