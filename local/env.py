"""Settings of the no-Docker mode: the environment, then `.env`, then the defaults of this file."""

from __future__ import annotations

import os
import re
import shlex

from local.paths import ROOT
from local.probe import LOOPBACK

# Every port of the suite, and the variable that moves it (the same ones as in docker-compose.yml).
PORTS: dict[str, tuple[str, int]] = {
    "api": ("API_PORT", 3000),
    "queue": ("QUEUE_PORT", 3001),
    "stream": ("STREAM_PORT", 3002),
    "kafka-service": ("KAFKA_SERVICE_PORT", 3003),
    "monitoring": ("MONITORING_PORT", 3004),
    "frontend": ("FRONTEND_PORT", 5173),
    "providers": ("PROVIDERS_PORT", 8025),
    "smtp": ("SMTP_PORT", 1025),
    "redis": ("REDIS_PORT", 6379),
    "kafka": ("KAFKA_PORT", 9092),
    "kafka-controller": ("KAFKA_CONTROLLER_PORT", 9093),
}

# The Python services, and the folder that each one's `app.py` stands in.
FOLDERS = {
    "providers": "providers",
    "queue": "queue_service",
    "stream": "stream_service",
    "kafka-service": "kafka_service",
    "api": "api_service",
    "monitoring": "monitoring_service",
    "worker": "worker_service",
}

# Everything that has a process and a log, by the names that docker-compose.yml gives them.
PARTS = (*FOLDERS, "frontend", "redis", "kafka")

# What no service reads: the form of the value, and how it is told.
FORMS = {
    "REDIS_APPENDFSYNC": ("always|everysec|no", "always, everysec or no"),
    "REDIS_MAXMEMORY": ("[0-9]+([kmg]b?)?", "a size like 512mb"),
    "DEMO_BOOKINGS": ("[1-9][0-9]*", "a whole number, at least 1"),
}


class BadSetting(ValueError):
    """A setting's value cannot be used; the message names it."""


def load_env_file() -> None:
    """Put what `.env` says into the environment, where the environment does not say it already."""
    path = ROOT / ".env"
    if not path.exists():
        return
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, separator, value = text.partition("=")
        if not separator:
            raise BadSetting(f".env line {number} is not NAME=value: {text!r}")
        words = shlex.split(value, comments=True)
        os.environ.setdefault(name.strip(), words[0] if words else "")


def port(name: str) -> int:
    variable, default = PORTS[name]
    value = os.environ.get(variable) or str(default)
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise BadSetting(f"{variable}={value!r} cannot be used: it must be a port, 1 to 65535")
    return int(value)


def redis_given() -> bool:
    return bool(os.environ.get("REDIS_HOST") or os.environ.get("REDIS_SENTINELS"))


def kafka_given() -> bool:
    return bool(os.environ.get("KAFKA_BROKER"))


def check() -> None:
    """Everything that is not among the services' own settings; all that is wrong is told together."""
    wrong: list[str] = []
    ports: dict[int, str] = {}
    for name, (variable, _) in PORTS.items():
        try:
            number = port(name)
        except BadSetting as error:
            wrong.append(str(error))
            continue
        if number in ports:
            wrong.append(f"{variable}={number} cannot be used: {ports[number]} is the same port")
        ports[number] = variable
    for variable, (pattern, allowed) in FORMS.items():
        value = os.environ.get(variable)
        if value and not re.fullmatch(pattern, value):
            wrong.append(f"{variable}={value!r} cannot be used: it must be {allowed}")
    if wrong:
        raise BadSetting("\n".join(wrong))


def url(name: str) -> str:
    return f"http://{LOOPBACK}:{port(name)}"


def whole_number(variable: str, default: int) -> int:
    value = os.environ.get(variable) or str(default)
    if not value.isdecimal():
        raise BadSetting(f"{variable}={value!r} cannot be used: it must be a whole number")
    return int(value)
