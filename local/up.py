"""Starts the suite, or its brokers alone, on this machine's processes, and says where everything is."""

from __future__ import annotations

import sys

from local import control, env
from local.control import SuiteTrouble
from local.env import kafka_given, redis_given
from local.kafka_server import KafkaMissing, find_java
from local.node import PagesMissing, build_pages, find_node
from local.passwords import redis_password
from local.paths import LOCAL, LOGS
from local.ports import check_free
from local.probe import LOOPBACK, redis_answers, wait_until
from local.redis_server import find_redis
from local.suite import (
    BROKERS,
    STAGES,
    Part,
    frontend_part,
    kafka_part,
    redis_part,
    service_part,
)
from local.urls import SHOWN, print_urls, wait_for_kafka, wait_until_serving


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def assemble() -> list[Part]:
    """Every part that can run on this machine; what cannot is named."""
    parts = []
    if redis_given():
        say("Redis: the one given by REDIS_HOST")
    else:
        say(f"Redis: {find_redis()}")
        parts.append(redis_part())
    if kafka_given():
        say("Kafka: the one given by KAFKA_BROKER")
    else:
        try:
            parts.append(kafka_part())
            say(f"Kafka: Apache Kafka on {find_java()[1]}")
        except KafkaMissing as error:
            say(f"Kafka: cannot be had, so its lane is unavailable and its legs stay pending. {error}")
    parts += [service_part(name) for name in env.FOLDERS]
    try:
        parts.append(frontend_part(find_node()))
    except PagesMissing as error:
        say(f"Pages: not served. {error}")
    return parts


def _pages_are_built() -> bool:
    try:
        build_pages()
    except PagesMissing as error:
        say(f"Pages: not served. {error}")
        return False
    return True


def start(names: set[str] | None = None, parts: list[Part] | None = None) -> list[str]:
    """Start the parts `names`, or all, each stage after the one that it needs. The services that now serve."""
    parts = assemble() if parts is None else parts
    wanted = [part for part in parts if names is None or part.name in names]
    if any(part.name == "frontend" for part in wanted) and not _pages_are_built():
        wanted = [part for part in wanted if part.name != "frontend"]
    running = control.states() if control.supervisor_pid() else {}
    check_free(name for part in wanted if running.get(part.name) != "active" for name in part.ports)
    control.launch(parts)
    for stage in STAGES:
        control.start(part.name for part in wanted if part.name in stage)
        if "redis" in stage and not redis_given():
            _wait_for_redis()
    expected = [part.name for part in wanted if part.name in SHOWN]
    silent = wait_until_serving(60, expected)
    if silent:
        tails = "\n".join(f"--- {name}\n{log_tail(name)}" for name in silent)
        raise SuiteTrouble(f"Not serving after a minute: {', '.join(silent)}\n{tails}")
    return expected


def start_suite() -> None:
    started = start()
    if "kafka" in control.states() or kafka_given():
        wait_for_kafka()
    print_urls(started)


def start_brokers() -> None:
    start(set(BROKERS))
    print_broker_env()


def _wait_for_redis() -> None:
    port = env.port("redis")
    if not wait_until(lambda: redis_answers(LOOPBACK, port, redis_password()), 60):
        raise SuiteTrouble(f"Redis does not answer on port {port}; see {LOGS / 'redis.log'}")


def log_tail(name: str) -> str:
    log = LOGS / f"{name}.log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else "(no log)"


def print_broker_env() -> None:
    """Lines for a developer's shell: `eval "$(make -s up-infra)"`."""
    if not redis_given():
        print(f"export REDIS_HOST={LOOPBACK}")
        print(f"export REDIS_PORT={env.port('redis')}")
        print(f"export REDIS_PASSWORD_FILE={LOCAL / 'secrets' / 'redis_password'}")
    if not kafka_given():
        print(f"export KAFKA_BROKER={LOOPBACK}:{env.port('kafka')}")
