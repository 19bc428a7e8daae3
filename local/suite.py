"""What the suite consists of without Docker: one `Part` a program, named as in docker-compose.yml."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, field

from booking_queue.settings import Settings
from local import env
from local.env import redis_given
from local.kafka_archive import ensure_archive
from local.kafka_server import format_storage, kafka_command, write_kafka_config
from local.node import Node, preview_command
from local.passwords import redis_password, secret_file
from local.paths import DATA, LOCAL, ROOT, private_folder
from local.probe import LOOPBACK
from local.redis_server import find_redis, write_redis_config
from providers.options import ProviderSettings

# Found in the environment of every process of the suite, so that `make down` knows its own.
MARKER = "BOOKING_QUEUE_SUITE"
BROKERS = ("redis", "kafka")
# Parts start in this order and stop in the reverse one: what takes work in goes first, what holds it last.
STAGES = (
    ("redis", "kafka"),
    ("providers",),
    ("queue", "stream", "kafka-service", "worker"),
    ("api", "monitoring", "frontend"),
)


@dataclass(frozen=True)
class Part:
    name: str
    command: list[str]
    folder: str = str(ROOT)
    env: dict[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    count: int = 1
    patience: float = 15

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "ports": list(self.ports)}


def redis_part() -> Part:
    appendfsync = os.environ.get("REDIS_APPENDFSYNC") or "everysec"
    config = write_redis_config(DATA / "redis", env.port("redis"), redis_password(), appendfsync)
    return Part("redis", [str(find_redis().path), str(config)], ports=("redis",), patience=30)


def kafka_part() -> Part:
    ensure_archive()
    config = write_kafka_config(DATA / "kafka", env.port("kafka"), env.port("kafka-controller"))
    format_storage(config)
    return Part("kafka", kafka_command(config), ports=("kafka", "kafka-controller"), patience=30)


def service_part(name: str) -> Part:
    shared = service_env()
    if name == "worker":
        # A worker that is told to stop lets its jobs finish for SHUTDOWN_SECONDS.
        count = env.whole_number("WORKER_COUNT", 2)
        patience = float(os.environ.get("SHUTDOWN_SECONDS") or 20) + 15
        # PORT: any; one that is set outside would be every worker's.
        return Part(name, _module(name), env={**shared, "PORT": "0"}, count=count, patience=patience)
    ports = ("providers", "smtp") if name == "providers" else (name,)
    return Part(name, _module(name), env={**shared, "PORT": str(env.port(name))}, ports=ports)


def frontend_part(node: Node) -> Part:
    targets = {"API_URL": env.url("api"), "MONITORING_URL": env.url("monitoring")}
    command = preview_command(node, env.port("frontend"))
    return Part("frontend", command, folder=str(ROOT / "frontend"), env=targets, ports=("frontend",), patience=5)


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", f"{env.FOLDERS[name]}.app"]


def service_env() -> dict[str, str]:
    """What every service is told; a variable that is set outside stays as it is."""
    documents = private_folder(DATA / "documents")
    defaults = {
        "REDIS_HOST": LOOPBACK,
        "REDIS_PORT": str(env.port("redis")),
        "KAFKA_BROKER": f"{LOOPBACK}:{env.port('kafka')}",
        "API_URL": env.url("api"),
        "QUEUE_SERVICE_URL": env.url("queue"),
        "STREAM_SERVICE_URL": env.url("stream"),
        "KAFKA_SERVICE_URL": env.url("kafka-service"),
        "MONITORING_URL": env.url("monitoring"),
        "FRONTEND_URL": env.url("frontend"),
        "PROVIDERS_URL": env.url("providers"),
        "SMTP_HOST": LOOPBACK,
        "SMTP_PORT": str(env.port("smtp")),
        "DOCUMENTS_DIR": str(documents),
        "PROVIDERS_DB": str(DATA / "providers.sqlite3"),
        "HISTORY_FILE": str(DATA / "history"),
        "PYTHONUNBUFFERED": "1",
    }
    told = {name: os.environ.get(name) or value for name, value in defaults.items()}
    return {MARKER: str(LOCAL), **_set_outside(), **told, **_secret_env()}


def _set_outside() -> dict[str, str]:
    """Named here, so that another value is seen to be one; but for secrets, which no file is to hold."""
    secret = ("PASSWORD", "API_KEY")
    names = {name.upper() for name in (*Settings.model_fields, *ProviderSettings.model_fields)}
    return {name: os.environ[name] for name in sorted(names) if os.environ.get(name) and not name.endswith(secret)}


def _secret_env() -> dict[str, str]:
    """Secrets travel as the names of files; one that is given in the environment is left there."""
    made = {"API_KEY": "api_key"} if redis_given() else {"API_KEY": "api_key", "REDIS_PASSWORD": "redis_password"}
    absent = (name for name in made if not (os.environ.get(name) or os.environ.get(f"{name}_FILE")))
    return {f"{name}_FILE": str(secret_file(made[name])) for name in absent}
