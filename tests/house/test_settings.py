"""Every setting is written down where people look for it, and everything written down is real."""

from __future__ import annotations

import re
from pathlib import Path

from booking_queue.settings import Settings
from tests.house.tree import complain, files, python_files, read

ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]+)` \| (?:`(.*?)`)? ?\| (.+) \|$", re.MULTILINE)
NAME = re.compile(r"^#?([A-Z][A-Z0-9_]+)=", re.MULTILINE)
IN_COMPOSE = re.compile(r"\$\{([A-Z][A-Z0-9_]+)")
SET_BY_COMPOSE = re.compile(r"^ {2,}([A-Z][A-Z0-9_]+):|\b([A-Z][A-Z0-9_]+): ", re.MULTILINE)
PROVIDERS_OWN = "providers/options.py"
ONE_A_PROCESS = {"WORKER_ID"}  # in .env, all replicas would share it, and a second one refuses to start


def settings() -> dict[str, str]:
    """Names and defaults, as one would write them into the environment."""
    return {name.upper(): shown(field.default) for name, field in Settings.model_fields.items()}


def shown(value: object) -> str:
    if isinstance(value, Path):
        return value.as_posix()
    return "" if value is None else str(value)


def documented() -> dict[str, tuple[str, str]]:
    pages = [path for path in files() if path == "README.md" or (path.startswith("docs/") and path.endswith(".md"))]
    return {name: (default, about) for path in pages for name, default, about in ROW.findall(read(path))}


def test_every_setting_is_documented() -> None:
    complain(
        "settings of booking_queue/settings.py that no table in README.md or docs/ lists (| `NAME` | `default` | … |):",
        [name for name in settings() if name not in documented()],
    )


def test_documented_defaults_and_meanings_are_the_real_ones() -> None:
    told, defaults = documented(), settings()
    about = {name.upper(): field.description for name, field in Settings.model_fields.items()}
    wrong = [
        f"{name}: documented {told[name]}, in the code {(default, about[name])}"
        for name, default in defaults.items()
        if name in told and told[name] != (default, about[name])
    ]
    complain("the documentation and booking_queue/settings.py disagree:", wrong)


def test_every_documented_setting_exists() -> None:
    code = "".join(read(path) for path in [*python_files(), "docker-compose.yml"])
    complain(
        "documented, but nothing reads it:",
        [name for name in documented() if name not in settings() and not _read_somewhere(name, code)],
    )


def _read_somewhere(name: str, code: str) -> bool:
    return name in code or re.search(rf"\b{name.lower()}\b", read(PROVIDERS_OWN)) is not None


def test_env_example_lists_every_setting() -> None:
    """Or docker-compose.yml gives each service its own value, as for PORT."""
    example, compose = set(NAME.findall(read(".env.example"))), read("docker-compose.yml")
    given = {name for pair in SET_BY_COMPOSE.findall(compose) for name in pair if name} - set(
        IN_COMPOSE.findall(compose)
    )
    missing = [name for name in settings() if name not in example | given | ONE_A_PROCESS]
    complain("settings that .env.example does not show (as `#NAME=default`):", missing)


def test_env_example_names_are_real() -> None:
    compose, code = read("docker-compose.yml"), "".join(read(path) for path in python_files("local", "booking_queue"))
    unknown = [
        name
        for name in NAME.findall(read(".env.example"))
        if name not in settings() and name not in IN_COMPOSE.findall(compose) and name not in code
    ]
    complain(".env.example names what nothing reads:", unknown)


def test_env_example_reaches_the_containers() -> None:
    """A line in .env changes nothing in a container unless docker-compose.yml hands it on."""
    example, handed_on = NAME.findall(read(".env.example")), IN_COMPOSE.findall(read("docker-compose.yml"))
    without_docker = set(re.findall(r"^# Without Docker.*\n((?:#[A-Z].*\n)+)", read(".env.example"), re.MULTILINE))
    excused = set(NAME.findall("".join(without_docker)))
    complain(
        "in .env.example, but docker-compose.yml does not use ${NAME}:",
        [name for name in example if name not in handed_on and name not in excused],
    )
