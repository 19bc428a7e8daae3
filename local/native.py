"""The Makefile's words without Docker, run by the virtual environment's Python."""

from __future__ import annotations

import sys
from collections.abc import Callable

from booking_queue.settings_read import problems
from local import control, demo, env, processes, up, watch
from local.control import SuiteTrouble
from local.env import kafka_given
from local.follow import follow
from local.kafka_server import KafkaMissing
from local.mode import NOTHING_RUNS, engine_trouble, nothing_runs
from local.node import PagesMissing, build_pages
from local.paths import DATA, LOGS, shown
from local.ports import PortsTaken
from local.redis_server import RedisMissing
from local.urls import print_urls
from providers.options import ProviderSettings

ONLOOKERS = {"monitoring", "frontend"}


def ps() -> None:
    if not control.supervisor_pid():
        nothing_runs("ps")
    print("\n".join(processes.lines()))


def must_run(*names: str) -> None:
    """Says at once what does not run, where waiting for it would be in vain."""
    states = control.states() if control.supervisor_pid() else {}
    if not states:
        raise SuiteTrouble(NOTHING_RUNS)
    if off := [name for name in names if states.get(name) != "active"]:
        on = ", ".join(sorted(name for name, state in states.items() if state == "active")) or "nothing"
        raise SuiteTrouble(f"Not running: {', '.join(off)} ({on} runs). `make up` starts the whole suite.")


def scale(count: int) -> None:
    must_run("worker")
    control.scale("worker", count)
    ps()


def stop(names: list[str]) -> None:
    must_run(*names)
    control.stop(names)
    print(f"Stopped: {', '.join(names)}. `make start S={names[0]}` starts it again.")


def start(names: list[str]) -> None:
    must_run()
    if absent := sorted(set(names) - set(control.states())):
        raise SuiteTrouble(f"Not part of this suite: {', '.join(absent)}. `make up` starts all that it can have.")
    control.start(names)
    print(f"Started: {', '.join(names)}.")


def key() -> None:
    if not (found := demo.key()):
        raise SuiteTrouble("There is no key: AUTH=required, in .env or in the environment of `make up`, asks for one.")
    print(found)


def logs(names: list[str]) -> None:
    try:
        must_run(*names)
    except SuiteTrouble as error:
        raise SuiteTrouble(f"{error} What was logged before is in {shown(LOGS)}.") from error
    follow(names)


def down() -> None:
    stopped = control.stop_all()
    print(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing ran.")
    if DATA.exists():
        up_again = "make up" if engine_trouble() else "DOCKER=0 make up"  # which else would take Docker, and its data
        print(f"The data stays in {shown(DATA)}: `{up_again}` goes on with it, `make clean` removes it.")


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


def show() -> int:
    """What no booking passes through starts after the table: until then the processors are Kafka's and the workers'."""
    parts = up.assemble()
    up.start({part.name for part in parts} - ONLOOKERS, parts)
    well = demo.run(kafka=kafka_given() or "kafka" in control.states())
    print("Starting the pages and the monitoring", flush=True)
    print_urls(up.start(parts=parts))
    return 0 if well else 1


def check_settings() -> None:
    """All of them, before anything is started that would only fail and be started again."""
    env.check()
    if wrong := problems(ProviderSettings):
        raise env.BadSetting("\n".join(wrong))


def run(word: str, rest: list[str]) -> int:
    if word in ("up", "up-infra", "dev", "demo"):
        check_settings()
    if word == "demo":
        return show()
    words: dict[str, Callable[[], None]] = {
        "up": up.start_suite,
        "up-infra": up.start_brokers,
        "down": down,
        "dev": dev,
        "scale": lambda: scale(int(rest[0])),
        "stop": lambda: stop(rest),
        "start": lambda: start(rest),
        "logs": lambda: logs(rest),
        "ps": ps,
        "key": key,
    }
    words[word]()
    return 0


def main() -> None:
    try:
        env.load_env_file()
        sys.exit(run(sys.argv[1], sys.argv[2:]))
    except (SuiteTrouble, PortsTaken, RedisMissing, KafkaMissing, env.BadSetting) as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
