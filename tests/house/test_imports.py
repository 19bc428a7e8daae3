"""Who may know whom."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.house.tree import PRODUCT, ROOT, SERVICES, complain, files, imports, python_files, read, within

KNOWS_BROKERS = ("booking_queue/backends/", "worker_service/rq_job.py")
NO_PLACE_NAMES = {"common", "util", "utils", "helper", "helpers", "misc", "lib", "shared", "stuff"}

# Runs in a process of its own, where no other test has imported anything before.
IMPORT_ALL = """
import socket, sys, importlib

def refuse(what):
    def refused(*args, **kwargs):
        raise RuntimeError(f"{what} at import")
    return refused

for name in ("connect", "connect_ex", "bind", "listen"):
    setattr(socket.socket, name, refuse(name))
socket.create_connection = refuse("create_connection")
socket.getaddrinfo = refuse("getaddrinfo")

failed = []
for module in sys.argv[1:]:
    try:
        importlib.import_module(module)
    except BaseException as error:
        failed.append(f"{module}: {type(error).__name__}: {error}")
print("".join(f"{line}\\n" for line in failed), end="")
"""


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_there_and_one_app_wires_it(service: str) -> None:
    mine = python_files(service)
    assert mine, f"{service}/ does not exist"
    assert f"{service}/app.py" in mine, f"{service} has no app.py to start it by `python -m {service}.app`"
    assert '__name__ == "__main__"' in (ROOT / service / "app.py").read_text(), f"{service}/app.py starts nothing"


def test_the_domain_knows_only_itself() -> None:
    allowed = (*sys.stdlib_module_names, "pydantic", "booking_queue.domain")
    found = [
        f"{path}:{line} imports {name}"
        for path in python_files("booking_queue")
        if path.startswith("booking_queue/domain/")
        for name, line in imports(path)
        if not within(name, *allowed)
    ]
    complain("booking_queue/domain imports the standard library, pydantic and itself:", found)


def test_only_backends_know_the_brokers_libraries() -> None:
    found = [
        f"{path}:{line} imports {name}"
        for path in python_files(*PRODUCT)
        if not path.startswith(KNOWS_BROKERS)
        for name, line in imports(path)
        if within(name, "rq", "aiokafka")
    ]
    complain(f"only {' and '.join(KNOWS_BROKERS)} import rq and aiokafka:", found)


def test_services_do_not_know_each_other() -> None:
    found = [
        f"{path}:{line} imports {name}"
        for service in SERVICES
        for path in python_files(service)
        for name, line in imports(path)
        if within(name, *(other for other in SERVICES if other != service))
    ]
    complain("a service talks to another over HTTP or a broker, it never imports it:", found)


def test_the_library_does_not_know_the_services() -> None:
    found = [
        f"{path}:{line} imports {name}"
        for path in python_files("booking_queue")
        for name, line in imports(path)
        if within(name, *SERVICES, "tests", "local")
    ]
    complain("booking_queue is what services stand on; it imports none of them:", found)


def test_the_product_does_not_need_its_tests() -> None:
    found = [
        f"{path}:{line} imports {name}"
        for path in python_files(*PRODUCT)
        for name, line in imports(path)
        if within(name, "tests", "local", "bench", "pytest")
    ]
    complain("services and the library run without tests, local and bench:", found)


def test_nothing_connects_at_import() -> None:
    modules = [
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in python_files(*PRODUCT)
        if not path.endswith("__main__.py")
    ]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *modules], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"importing everything ended the process:\n{done.stderr}"
    complain("importing a module must need no network and nothing running:", done.stdout.split("\n")[:-1])


def test_nothing_is_called_utils() -> None:
    found = [path for path in files() if NO_PLACE_NAMES & {part.split(".")[0].lower() for part in path.split("/")}]
    complain("a name should say what is inside; these say nothing:", found)


@pytest.mark.parametrize(
    ("made", "where"),
    [
        (r"\bbootstrap_servers\b", {"booking_queue/backends/kafka/access.py"}),
        (r"\b(Redis|Sentinel|ConnectionPool)\((?!\))|\bfrom_url\(", {"booking_queue/ledger/connection.py"}),
    ],
)
def test_one_place_knows_how_a_broker_is_reached(made: str, where: set[str]) -> None:
    """Its address, TLS and our login: a client made elsewhere would do without."""
    found = {path for path in python_files(*PRODUCT) if re.search(made, read(path))}
    assert found == where
