"""What docker-compose.yml promises of every container, read as Compose itself reads it, with no `.env`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import missing

ROOT = Path(__file__).resolve().parents[2]
ONE_SHOT = {"secrets"}
Service = tuple[str, dict[str, Any]]


def read() -> dict[str, dict[str, Any]]:
    if not shutil.which("docker"):
        return {}
    command = ["docker", "compose", "--env-file", "/dev/null", "--profile", "*", "config", "--format", "json"]
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    services: dict[str, dict[str, Any]] = json.loads(done.stdout)["services"]
    return services


SERVICES = read()


@pytest.fixture(params=sorted(SERVICES) or [""])
def service(request: pytest.FixtureRequest) -> Service:
    if not request.param:
        missing("docker compose is not installed")
    return request.param, SERVICES[request.param]


def test_it_is_contained(service: Service) -> None:
    _, told = service
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    assert told["init"] is True
    assert "privileged" not in told
    limits = told["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)
    assert told["logging"]["options"] == {"max-size": "10m", "max-file": "3"}


def test_it_is_reached_from_this_machine_alone(service: Service) -> None:
    _, told = service
    assert {port["host_ip"] for port in told.get("ports", [])} <= {"127.0.0.1"}


def test_it_comes_back_and_is_looked_after(service: Service) -> None:
    name, told = service
    if name in ONE_SHOT:
        assert told["restart"] == "no"
        return
    assert told["restart"] == "unless-stopped"
    assert told["healthcheck"]["test"]


def test_its_image_is_pinned_and_it_has_no_fixed_name(service: Service) -> None:
    _, told = service
    assert "container_name" not in told
    _, _, tag = told["image"].rpartition(":")
    assert tag not in ("", "latest")


def test_no_secret_has_a_default(service: Service) -> None:
    _, told = service
    given = {name: value for name, value in (told.get("environment") or {}).items() if value}
    assert [name for name in given if name.endswith(("PASSWORD", "_KEY", "TOKEN"))] == []


def test_kafka_down_stops_nothing_and_workers_scale() -> None:
    if not SERVICES:
        missing("docker compose is not installed")
    waited_for = {name for told in SERVICES.values() for name in told.get("depends_on") or {}}
    assert waited_for == {"redis", "secrets"}
    worker = SERVICES["worker"]
    assert "ports" not in worker
    assert worker["deploy"]["replicas"] == 2
    assert worker["stop_grace_period"] == "45s"
