"""Whether the ports that are to be listened on are free. Standard library alone."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from local import env
from local.probe import LOOPBACK, holder

GIVEN = {"redis": "To use that Redis, set REDIS_HOST.", "kafka": "To use that Kafka, set KAFKA_BROKER."}


class PortsTaken(RuntimeError):
    """The message names each port, who holds it, and the variable that moves ours."""


def check_free(names: Iterable[str], *, could_be_given: bool = True) -> None:
    """`could_be_given`: whether this mode can use another's Redis or Kafka. Raises PortsTaken."""
    taken = [name for name in names if not _free(env.port(name))]
    if not taken:
        return
    lines = [f"Port {env.port(name)} ({name}) is taken by {_by(name)}: {env.PORTS[name][0]}" for name in taken]
    remedies = ["End what holds them, or set these variables to free ports (in the environment or in .env)."]
    remedies += [GIVEN[name] for name in taken if could_be_given and name in GIVEN]
    raise PortsTaken("\n".join([*lines, " ".join(remedies)]))


def check_free_for(word: str) -> None:
    """Before anything is fetched or built for `word`: what it would listen on as processes of this machine."""
    given = {"redis": env.redis_given(), "kafka": env.kafka_given(), "kafka-controller": env.kafka_given()}
    check_free(name for name in (given if word == "up-infra" else env.PORTS) if not given.get(name))


def _free(number: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, number))
        except OSError:
            return False
    return True


def _by(name: str) -> str:
    return holder(env.port(name)) or "another program"
