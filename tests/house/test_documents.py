"""What the documents name is there."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from starlette.routing import Match

from booking_queue.settings import Settings
from tests.house.tree import ROOT, SERVICES, complain, files, read

SHELL = re.compile(r"^```(?:bash|sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
WORD = re.compile(r"`([^`\n]+)`")
MADE = re.compile(r"\bmake ([a-z][a-z0-9-]*)")
TARGET = re.compile(r"^([a-z][a-z0-9-]*):(?!=)", re.MULTILINE)
FILE = re.compile(r"[\w.-]+\.(?:py|lua|md|yml|yaml|toml|json|txt|sh|ts|tsx|sql)")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[\w-]*)?\)")
PORTS = {
    3000: "api_service",
    3001: "queue_service",
    3002: "stream_service",
    3003: "kafka_service",
    3004: "monitoring_service",
}
OUTSIDE = {
    "awk",
    "head",
    "curl",
    "git",
    "make",
    "docker",
    "python",
    "python3",
    "npm",
    "kubectl",
    "export",
    "cd",
    "open",
}
OUTSIDE |= {"awk", "head", "sed", "tee", "cat", "echo", "kill", "redis-cli", ".venv/bin/rq"}
OUTSIDE |= {"grep", "do", "sleep", "done"}
CAPTURE = re.compile(r"^(?:until |[A-Z_]+=\$\((?:cat \S+\) )?)(?=curl|redis-cli)", re.MULTILINE)


def text_of(name: str) -> str:
    assert (ROOT / name).is_file(), f"{name} does not exist"
    return read(name)


def targets() -> set[str]:
    return set(TARGET.findall(text_of("Makefile")))


def documents() -> list[str]:
    return [path for path in files() if path.endswith(".md") and not path.startswith("frontend/node_modules")]


def commands(document: str) -> Iterator[list[str]]:
    """The words of each command in its shell blocks; a command may span lines."""
    for block in SHELL.findall(document):
        lexer = shlex.shlex(CAPTURE.sub("", block), posix=True, punctuation_chars=";|&\n")
        lexer.whitespace = " \t"
        lexer.whitespace_split = True
        words: list[str] = []
        for token in lexer:
            if set(token) <= set(";|&\n"):
                if words:
                    yield words
                words = []
            else:
                words.append(token)
        if words:
            yield words


KEY = re.compile(r"""(?:\bP \.\. '|key_prefix\}):([a-z]+)""")
CHANNELS = {"effects"}


def test_every_kind_of_key_is_in_the_table_of_keys() -> None:
    """With what it holds and when it ends."""
    sources = [path for path in files() if path.endswith((".lua", ".py")) and not path.startswith("tests/")]
    used = {name for path in sources for name in KEY.findall(read(path))} - CHANNELS
    told = set(
        re.findall(r"`([a-z]+)[:`]", "\n".join(re.findall(r"^\| `.*", text_of("ARCHITECTURE.md"), re.MULTILINE)))
    )
    assert len(used) > 15
    complain("keys that ARCHITECTURE.md does not tell of:", sorted(used - told))


def make_help() -> str:
    if not shutil.which("make"):  # as in the test image: then by what `help` prints its lines from
        return re.sub(r"^([a-z0-9-]+):.*## ", r"make \1 ", text_of("Makefile"), flags=re.MULTILINE)
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert told.returncode == 0, f"`make help` failed: {told.stderr}"
    return told.stdout


def test_make_help_tells_every_target() -> None:
    known = targets()
    words = set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", make_help()))
    complain("targets of the Makefile that `make help` does not tell:", [name for name in known if name not in words])
    complain("`make help` tells of targets that are not there:", [name for name in words if name not in known])


def test_the_makefile_has_the_words_that_people_know() -> None:
    wanted = {"help", "up", "up-infra", "down", "dev", "demo", "scale", "stop", "start", "logs", "ps", "check", "test"}
    wanted |= {"test-compose", "faults", "bench", "openapi", "lock", "clean"}
    complain("missing in the Makefile:", [name for name in wanted if name not in targets()])


def test_documents_name_real_make_targets() -> None:
    found = [
        f"{path}: make {name}"
        for path in documents()
        for name in MADE.findall("\n".join([*SHELL.findall(read(path)), *WORD.findall(read(path))]))
        if name not in targets()
    ]
    complain("make targets that do not exist:", found)


def test_the_readmes_commands_are_there() -> None:
    found = []
    for words in commands(text_of("README.md")):
        name = next((word for word in words if "=" not in word.split("/")[0]), "")
        if name.startswith(("./", "deploy/", "local/")):
            found += [] if (ROOT / name).is_file() else [f"{name} does not exist"]
        elif name in ("python", "python3") and words[1:2] == ["-m"]:
            found += [] if _module(words[2]) else [f"python -m {words[2]}: no such module"]
        elif name not in OUTSIDE:
            found.append(f"{' '.join(words)[:80]}: {name!r} is not known; is it a command of ours?")
    complain("commands in README.md:", found)


def _module(name: str) -> bool:
    path = name.replace(".", "/")
    ours = any(found in files() for found in (f"{path}.py", f"{path}/__main__.py"))
    return ours or name.split(".", maxsplit=1)[0] in sys.stdlib_module_names


@pytest.fixture(scope="module")
def apps() -> dict[int, FastAPI]:
    """Every service's app, built as its own main does, without starting it."""
    return {port: importlib.import_module(f"{name}.app").build(Settings()) for port, name in PORTS.items()}


def requests() -> Iterator[tuple[str, str]]:
    """Method and URL of each curl in the README."""
    for words in commands(text_of("README.md")):
        if words[0] != "curl":
            continue
        method = words[words.index("-X") + 1] if "-X" in words else "POST" if "-d" in words else "GET"
        for word in words[1:]:
            if re.match(r"(https?://)?(localhost|127\.0\.0\.1):\d+", word):
                yield method, word if "//" in word else f"http://{word}"


def test_the_readmes_curls_meet_a_route(apps: dict[int, FastAPI]) -> None:
    found = []
    asked = list(requests())
    assert asked, "README.md shows no curl"
    for method, url in asked:
        place = urlsplit(url)
        app = apps.get(place.port or 0)
        if app and not _answers(app, method, place.path):
            found.append(f"{method} {url}")
    complain("requests in README.md that no route answers:", found)


def _answers(app: FastAPI, method: str, path: str) -> bool:
    scope = {"type": "http", "method": method, "path": path.replace("$ID", "an-id"), "root_path": "", "headers": []}
    return any(route.matches(scope)[0] is Match.FULL for route in app.routes)


def test_the_readmes_id_is_taken_from_an_answer_as_the_gateway_gives_it() -> None:
    script = re.search(r"sed '([^']+)'", text_of("README.md"))
    assert script
    answer = '{"bookingId":"85db970d-1a2c","queues":{"rq":{"messageId":"other"}},"links":{}}'
    told = subprocess.run(["sed", script[1]], input=answer, capture_output=True, text=True, check=True).stdout
    assert told.strip() == "85db970d-1a2c"


def test_the_readme_revokes_the_key_that_it_made_and_no_other() -> None:
    """The list's order is no promise: the id is taken from the answer to the POST."""
    made = re.search(r"^KEY_ID=\$\((.*?)\)$", text_of("README.md"), re.MULTILINE | re.DOTALL)
    assert made and " -d " in made[1]
    script = re.search(r"sed '([^']+)'", made[1])
    assert script
    answer = '{"id":"85db970d","name":"shop","tenant":"acme","scopes":["bookings:read"],"apiKey":"bq_x_y"}'
    told = subprocess.run(["sed", script[1]], input=answer, capture_output=True, text=True, check=True).stdout
    assert told.strip() == "85db970d"


def test_every_endpoint_is_documented(apps: dict[int, FastAPI]) -> None:
    places = [path for path in files() if path.rsplit("/", 1)[-1].lower() == "api.md"]
    assert places, "there is no API.md: `make openapi` writes it"
    told = read(places[0])
    found = [
        f"{app.title}: {path}" for app in apps.values() for path in app.openapi()["paths"] if f"{path}`" not in told
    ]
    complain(f"endpoints that {places[0]} does not name (in backticks): `make openapi` writes it:", found)


def test_links_lead_somewhere() -> None:
    found = []
    for path in documents():
        folder = (ROOT / path).parent
        for target in LINK.findall(read(path)):
            if "://" not in target and not target.startswith("mailto:") and not (folder / target).exists():
                found.append(f"{path} -> {target}")
    complain("links to what is not there:", found)


def test_architecture_names_real_files() -> None:
    known, found = files(), []
    for word in WORD.findall(text_of("ARCHITECTURE.md")):
        if word.endswith("/") and " " not in word:
            # The middle of a path will do: the text says where it is.
            if not any(f"/{word}" in f"/{path}" for path in known):
                found.append(word)
        elif FILE.fullmatch(word.rsplit("/", 1)[-1]) and not any(f"/{path}".endswith(f"/{word}") for path in known):
            found.append(word)
    complain("ARCHITECTURE.md names files or folders that are not there:", found)


def test_architecture_tells_of_every_service() -> None:
    told = text_of("ARCHITECTURE.md")
    complain("ARCHITECTURE.md does not mention:", [name for name in SERVICES if f"`{name}/`" not in told])
