"""The Makefile's words without Docker, run by the virtual environment's Python."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from local import control, demo, env, up, watch
from local.control import SuiteTrouble
from local.follow import follow
from local.kafka_server import KafkaMissing
from local.node import PagesMissing, build_pages
from local.redis_server import RedisMissing
from local.suite import kafka_given
from local.urls import print_urls


def ps() -> None:
    if not control.supervisor_pid():
        print("Nothing runs. `make up` starts the suite.")
        return
    told = control.processes()
    print(f"{'NAME':<15}{'STATE':<10}{'PID':>8}{'UP':>10}{'MEMORY':>10}{'CPU %':>8}  ADDRESS")
    for name, state in sorted(control.states().items()):
        address = f"127.0.0.1:{env.port(name)}" if name in env.PORTS else ""
        rows = told.get(name, {})
        for pid, facts in rows.items():
            age = time.strftime("%H:%M:%S", time.gmtime(float(facts.get("age", 0))))
            memory, cpu = facts.get("mem_info1", ""), facts.get("cpu", "")
            print(f"{name:<15}{state:<10}{pid:>8}{age:>10}{memory:>10}{cpu:>8}  {address}")
        if not rows:
            print(f"{name:<15}{state:<10}")


def scale(rest: list[str]) -> None:
    if not rest or not rest[0].isdecimal():
        raise SuiteTrouble("usage: make scale N=4")
    control.scale("worker", int(rest[0]))
    ps()


def dev() -> None:
    def restart(names: list[str]) -> None:
        if "frontend" in names:
            try:
                build_pages()
            except PagesMissing as error:
                up.say(str(error))
        # vite serves what was built last: only programs that hold code are started again.
        control.restart(name for name in names if name != "frontend")

    up.start_suite()
    watch.until_interrupted(restart)


def run(word: str, rest: list[str]) -> int:
    if word == "demo":
        serving = up.start()
        well = demo.run(kafka=kafka_given() or "kafka" in control.states())
        print_urls(serving)
        return 0 if well else 1
    words: dict[str, Callable[[], None]] = {
        "up": up.start_suite,
        "up-infra": up.start_brokers,
        "down": control.stop_all,
        "dev": dev,
        "scale": lambda: scale(rest),
        "logs": lambda: follow(rest),
        "ps": ps,
    }
    words[word]()
    return 0


def main() -> None:
    try:
        env.load_env_file()
        sys.exit(run(sys.argv[1], sys.argv[2:]))
    except (SuiteTrouble, RedisMissing, KafkaMissing, env.BadSetting) as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
