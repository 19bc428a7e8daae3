"""A setting that cannot be used is told in one line, and no process starts with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from booking_queue.settings import Settings
from booking_queue.settings_read import problems, read

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("LEASE_SECONDS", "abc", "it must be a number, more than 0"),
        ("HEARTBEAT_SECONDS", "6", "it must be at most a third of LEASE_SECONDS"),
        ("SLA_SECONDS", "inf", "it must be a number, more than 0"),
        ("WORKER_COUNT", "x", "it must be a whole number, at least 0"),
        ("CONCURRENCY_RQ", "0", "it must be a whole number, at least 1 and at most 1000"),
        ("TRUSTED_NETWORK", "perhaps", "it must be true or false"),
        ("AUTH", "maybe", "it must be one of open, required"),
        ("LOG_LEVEL", "LOUD", "it must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("WORKER_BACKENDS", "rq,rabbit", "it must be some of rq,redisStreams,kafka"),
        ("REDIS_SENTINELS", "sentinel", "it must be host:port, or several of them with commas between"),
        ("REDIS_CA_FILE", "/none.pem", "it must be a file of certificates, as PEM"),
        ("KAFKA_SASL", "SCRAM-SHA-512", "it needs KAFKA_USERNAME and KAFKA_PASSWORD"),
        ("KAFKA_SASL", "PLAIN", "it must be one of off, SCRAM-SHA-256, SCRAM-SHA-512"),
        ("API_URL", "gateway", "it must be an address like http://127.0.0.1:3000"),
    ],
)
def test_name_value_and_what_is_allowed(monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str) -> None:
    monkeypatch.setenv(name, value)
    assert problems() == [f"{name}={value!r} cannot be used: {allowed}"]


def test_what_was_allowed_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"LOG_LEVEL": "info", "WORKER_BACKENDS": "kafka, rq", "REDIS_SENTINELS": "a:1, b:2", "AUTH": ""}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = read(Settings)
    assert (settings.log_level, settings.auth, settings.backends) == ("INFO", "open", ["kafka", "rq"])


def test_a_secrets_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("API_KEY_FILE", str(tmp_path / "none"))
    assert problems() == [f"API_KEY_FILE='{tmp_path}/none' cannot be read: No such file or directory"]


def test_a_key_that_can_be_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "k" * 15)
    assert problems() == []
    monkeypatch.setenv("AUTH", "required")
    assert problems() == ["API_KEY cannot be used: it must have at least 16 characters"], "it is a secret"
    monkeypatch.setenv("API_KEY", "k" * 16)
    assert problems() == []


@pytest.mark.parametrize("module", ["worker_service.app", "queue_service.app", "providers.app"])
def test_a_service_ends_with_one_line(module: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env={**os.environ, "LEASE_SECONDS": "abc"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (told.returncode, told.stderr) == (
        1,
        "LEASE_SECONDS='abc' cannot be used: it must be a number, more than 0\n",
    )


def test_json_that_breaks_off_or_says_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMITS", "{")
    (broken,) = problems()
    assert broken.startswith("LIMITS='{' cannot be used: it must be JSON (Expecting property name")
    monkeypatch.setenv("LIMITS", '{"rq": {"concurrency": 0}}')
    assert problems() == ["LIMITS rq concurrency=0 cannot be used: Input should be greater than or equal to 1"]
