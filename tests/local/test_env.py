"""What `.env`, the environment and the defaults make of each other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from local import env, mode, passwords, venv


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(env, "ROOT", tmp_path)
    for name in ("API_PORT", "QUEUE_PORT", "WORKER_COUNT"):
        # Set first, so that what the test loads is forgotten after it.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path / ".env"


def test_the_environment_beats_the_file_and_the_file_the_default(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file.write_text("# ports\nAPI_PORT=4000\nexport QUEUE_PORT='4001'  # moved\n\n")
    monkeypatch.setenv("API_PORT", "5000")
    env.load_env_file()
    assert [env.port(name) for name in ("api", "queue", "stream")] == [5000, 4001, 3002]
    assert env.url("queue") == "http://127.0.0.1:4001"


@pytest.mark.parametrize("value", ["http", "0", "70000", "-1"])
def test_what_is_no_port_is_refused_by_name(env_file: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("API_PORT", value)
    with pytest.raises(env.BadSetting, match=f"API_PORT='{value}'"):
        env.port("api")


def test_a_bad_line_is_named_by_its_number(env_file: Path) -> None:
    env_file.write_text("WORKER_COUNT=3\nwhat is this\n")
    with pytest.raises(env.BadSetting, match="line 2"):
        env.load_env_file()


def test_the_example_lists_every_port() -> None:
    example = (Path(__file__).parents[2] / ".env.example").read_text()
    assert [name for name, _ in env.PORTS.values() if f"#{name}=" not in example] == []


def test_docker_is_chosen_by_wish_or_by_an_engine_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER", "0")
    assert not mode.choose().docker
    monkeypatch.setattr(mode, "engine_trouble", lambda: "no Docker engine answers")
    monkeypatch.setenv("DOCKER", "1")
    with pytest.raises(mode.ModeImpossible, match="no Docker engine answers"):
        mode.choose()
    monkeypatch.setenv("DOCKER", "")
    assert mode.choose() == mode.Mode(False, "no Docker engine answers")
    monkeypatch.setattr(mode, "engine_trouble", lambda: None)
    assert mode.choose() == mode.Mode(True, "a Docker engine answers")
    monkeypatch.setenv("DOCKER", "yes")
    with pytest.raises(mode.ModeImpossible, match="DOCKER=yes"):
        mode.choose()


def test_where_the_other_way_has_data_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mode, "DATA", tmp_path / "data")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    with_docker, without = mode.Mode(True, ""), mode.Mode(False, "")
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\n")
    docker.chmod(0o755)
    assert mode.other_data(with_docker) is None and mode.other_data(without) is None
    docker.write_text("#!/bin/sh\necho booking-queue_redis\n")
    assert "volumes booking-queue_*: `DOCKER=1 make up`" in str(mode.other_data(without))
    (tmp_path / "data" / "redis").mkdir(parents=True)
    assert "/data: `DOCKER=0 make up`" in str(mode.other_data(with_docker))
    assert mode.other_data(without) is None  # what it goes on with is its own


def test_an_environment_that_is_up_to_date_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENV", str(tmp_path))
    monkeypatch.setattr(venv, "_run", lambda command, remedy: pytest.fail(f"ran {command}"))
    (tmp_path / ".installed-dev").write_text(venv._fingerprint("dev"))
    assert venv.ensure("dev") == venv.ensure("local") == tmp_path / "bin" / "python"
    (tmp_path / ".installed-dev").write_text("another lock")
    with pytest.raises(pytest.fail.Exception, match="-m"):
        venv.ensure("dev")


def test_a_secret_is_made_once_and_only_its_user_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "SECRETS", tmp_path / "secrets")
    first = passwords.secret_file("api_key")
    assert len(first.read_text()) >= 32
    assert os.stat(first).st_mode & 0o777 == 0o600
    assert os.stat(first.parent).st_mode & 0o777 == 0o700
    assert passwords.secret_file("api_key").read_text() == first.read_text()
    assert passwords.secret_file("redis_password").read_text() != first.read_text()


def test_all_that_is_wrong_is_told_together(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "x")
    monkeypatch.setenv("QUEUE_PORT", "3002")
    monkeypatch.setenv("REDIS_MAXMEMORY", "much")
    with pytest.raises(env.BadSetting) as refused:
        env.check()
    assert str(refused.value).splitlines() == [
        "API_PORT='x' cannot be used: it must be a port, 1 to 65535",
        "STREAM_PORT=3002 cannot be used: QUEUE_PORT is the same port",
        "REDIS_MAXMEMORY='much' cannot be used: it must be a size like 512mb",
    ]
