"""What pyproject.toml asks for is in the lock files, and no lock file says where it came from."""

import re
import tomllib

from tests.house.tree import ROOT

LOCKS = {"runtime.txt": None, "local.txt": "local", "dev.txt": "dev"}


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found.group()).lower()


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    missing = []
    for lock, group in LOCKS.items():
        locked = {_name(line) for line in (ROOT / "lock" / lock).read_text().splitlines() if "==" in line}
        wanted = project["dependency-groups"][group] if group else project["project"]["dependencies"]
        missing += [f"lock/{lock}: {need}" for need in wanted if _name(need) not in locked]
    assert not missing, f"run `make lock`: {missing}"


def test_no_lock_names_an_address() -> None:
    found = [lock for lock in LOCKS if "://" in (ROOT / "lock" / lock).read_text()]
    found += ["package-lock.json"] if "://" in _addresses() else []
    assert not found


def _addresses() -> str:
    lines = (ROOT / "frontend" / "package-lock.json").read_text().splitlines()
    return "\n".join(line for line in lines if '"resolved"' in line)
