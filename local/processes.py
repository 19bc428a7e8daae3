"""`make ps` without Docker: each process with its age and memory, a worker also with the name it has in bookings."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from local import control, env, restarts
from local.passwords import redis_password
from local.probe import LOOPBACK

FORM = "{:<15}{:<16}{:<10}{:>8}{:>10}{:>9}{:>7}  {}"
YOUNG = 10.0  # seconds; of a part that crashes, the older processes are well


def lines() -> list[str]:
    told, states, noted = control.processes(), control.states(), restarts.read()
    names, now = worker_ids(), time.time()
    found = [FORM.format("NAME", "WORKER", "STATE", "PID", "UP", "MEMORY", "CPU %", "ADDRESS")]
    for name, state in sorted(states.items()):
        crashing = name in noted and restarts.crashes(noted[name], now)
        address = f"{LOOPBACK}:{env.port(name)}" if name in env.PORTS else ""
        for pid, facts in told.get(name, {}).items():
            age = float(facts.get("age", 0))
            shown = "crashing" if crashing and age < YOUNG else state
            up = time.strftime("%H:%M:%S", time.gmtime(age))
            worker = names.get(int(pid), "(no name yet)") if name == "worker" else ""
            cells = (up, facts.get("mem_info1", ""), facts.get("cpu", ""), address)
            found.append(FORM.format(name, worker, shown, pid, *cells).rstrip())
        if not told.get(name):
            found.append(FORM.format(name, "", "crashing" if crashing else state, "-", "", "", "", "").rstrip())
    return found + [_restarted(name, note, now) for name, note in sorted(noted.items()) if name in states]


def _restarted(name: str, note: Mapping[str, Any], now: float) -> str:
    times = "once" if note["count"] == 1 else f"{note['count']} times"
    ago = f"{now - note['last'][-1]:.0f} s ago"
    return f"{name} died and was started again {times}, last {ago}: make logs S={name}"


def worker_ids() -> dict[int, str]:
    """By process id, as the workers of this machine told Redis; none where Redis does not answer."""
    if os.environ.get("REDIS_SENTINELS"):
        return {}
    redis: Any = Redis(
        host=os.environ.get("REDIS_HOST") or LOOPBACK,
        port=env.port("redis"),
        username=os.environ.get("REDIS_USERNAME") or None,
        password=redis_password(),
        ssl=os.environ.get("REDIS_TLS") == "on",
        ssl_ca_certs=os.environ.get("REDIS_CA_FILE") or None,
        socket_timeout=1,
        socket_connect_timeout=1,
    )
    prefix = os.environ.get("KEY_PREFIX") or "bq"
    try:
        names = redis.zrange(f"{prefix}:workers", 0, -1)
        entries = redis.mget([f"{prefix}:worker:{name.decode()}" for name in names]) if names else []
    except (RedisError, OSError):
        return {}
    finally:
        redis.close()
    told = [json.loads(entry) for entry in entries if entry and entry.startswith(b"{")]
    return {int(one["pid"]): str(one["id"]) for one in told if one.get("host") == socket.gethostname()}
