"""What is found on a machine, and what is done where something is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from local import kafka_server, node, redis_server, suite, up
from local.kafka_server import KafkaMissing


def program(folder: Path, name: str, told: str) -> Path:
    """A program on PATH that tells its version and nothing else."""
    folder.mkdir(exist_ok=True)
    made = folder / name
    made.write_text(f"#!/bin/sh\necho '{told}' >&{2 if name == 'java' else 1}\n")
    made.chmod(0o755)
    return made


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/bin")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path / "bin"


def without_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_a_redis_that_is_new_enough_is_taken_from_path(path: Path) -> None:
    program(path, "redis-server", "Redis server v=7.2.4 sha=0")
    assert str(redis_server.find_redis()) == "redis-server 7.2.4 (on PATH)"


def test_an_older_redis_is_passed_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(path, "redis-server", "Redis server v=6.2.1 sha=0")
    valkey = program(path, "valkey-server", "Valkey server v=8.1.8 sha=0")
    assert redis_server.find_redis().path == valkey
    valkey.unlink()
    without_wheels(monkeypatch)
    with pytest.raises(redis_server.RedisMissing, match=r"apt-get install redis-server.*REDIS_HOST"):
        redis_server.find_redis()


@pytest.mark.parametrize(("version", "taken"), [("17.0.15", True), ("21", True), ("11.0.2", False)])
def test_java_17_or_newer_runs_kafka(path: Path, monkeypatch: pytest.MonkeyPatch, version: str, taken: bool) -> None:
    java = program(path, "java", f'openjdk version "{version}" 2025-04-15')
    without_wheels(monkeypatch)
    if taken:
        assert kafka_server.find_java()[0] == java
    else:
        with pytest.raises(KafkaMissing):
            kafka_server.find_java()


def fetched(folder: Path, jars: int = 2) -> str:
    """As jgo leaves it; it writes its lock file after the jars."""
    (folder / "modules").mkdir(parents=True)
    names = ("kafka_2.13", "kafka-clients")
    for name in names[:jars]:
        (folder / "modules" / f"{name}-4.1.0.jar").touch()
    if jars == len(names):
        told = "".join(f'[[dependencies]]\nartifactId = "{name}"\nversion = "4.1.0"\n' for name in names)
        (folder / "jgo.lock.toml").write_text(told)
    return str(folder)


@pytest.mark.parametrize("noted", [True, False], ids=["taken for whole by an older version", "interrupted"])
def test_a_kafka_that_was_fetched_in_part_is_fetched_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: bool
) -> None:
    fetches: list[Path] = []

    def fetch() -> str:
        assert not env.exists() and not cut.exists()
        fetches.append(env)
        return fetched(env)

    monkeypatch.setattr(kafka_server, "CACHE", tmp_path)
    monkeypatch.setattr(kafka_server, "_fetch", fetch)
    env, cut = tmp_path / "jgo" / "envs" / "kafka", tmp_path / "m2" / "kafka-clients-4.1.0.jar"
    fetched(env, jars=1)
    cut.parent.mkdir()
    cut.touch()
    if noted:
        (tmp_path / f"kafka-{kafka_server.VERSION}.folder").write_text(str(env))
    assert [kafka_server.class_path() for _ in range(2)] == [f"{env}/jars/*:{env}/modules/*"] * 2
    assert len(fetches) == 1
    (env / "modules" / "kafka-clients-4.1.0.jar").unlink()
    kafka_server.class_path()
    assert len(fetches) == 2


@pytest.mark.parametrize(
    ("version", "taken"),
    [("v20.19.0", True), ("v20.18.3", False), ("v22.11.0", False), ("v22.12.0", True), ("v24.1.0", True)],
)
def test_the_node_that_vite_runs_on(path: Path, monkeypatch: pytest.MonkeyPatch, version: str, taken: bool) -> None:
    program(path, "npm", "11")
    program(path, "node", version)
    without_wheels(monkeypatch)
    if taken:
        assert node.find_node().source == "on PATH"
    else:
        with pytest.raises(node.PagesMissing):
            node.find_node()


def test_without_kafka_the_rest_of_the_suite_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing() -> suite.Part:
        raise KafkaMissing("no Java")

    monkeypatch.setattr(up, "kafka_part", nothing)
    for name in ("DATA", "SECRETS", "LOGS"):
        for module in ("local.suite", "local.passwords", "local.up"):
            monkeypatch.setattr(f"{module}.{name}", tmp_path / name.lower(), raising=False)
    for name in ("REDIS_HOST", "REDIS_SENTINELS", "KAFKA_BROKER"):
        monkeypatch.delenv(name, raising=False)
    names = {part.name for part in up.assemble()}
    assert names >= {"redis", "providers", "queue", "stream", "kafka-service", "api", "monitoring", "worker"}
    assert "kafka" not in names
    assert "legs stay pending. no Java" in capsys.readouterr().err


def test_no_secret_stands_in_a_service_s_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "DATA", tmp_path)
    monkeypatch.setattr("local.passwords.SECRETS", tmp_path / "secrets")
    for name in ("REDIS_HOST", "REDIS_SENTINELS", "REDIS_PASSWORD", "API_KEY", "REDIS_PASSWORD_FILE", "API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    told = suite.service_env()
    secrets = {path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert len(secrets) == 2
    assert not secrets & set(told.values())
    assert told["REDIS_PASSWORD_FILE"] == str(tmp_path / "secrets" / "redis_password")


def test_a_setting_that_changed_makes_another_plan_and_no_secret_stands_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTH", "REDIS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    before = suite.service_part("api").as_json()
    monkeypatch.setenv("AUTH", "required")
    assert suite.service_part("api").as_json() != before
    monkeypatch.setenv("REDIS_PASSWORD", "a-word-that-nobody-guesses")
    assert "nobody-guesses" not in str(suite.service_part("api").as_json())
