"""Nothing of the machine it was made on, and no address that only some people can reach."""

from __future__ import annotations

import re

from tests.house.tree import complain, files, read

# Written in parts, so that this file does not find itself.
FORBIDDEN = {
    "a path of one machine": re.compile(
        r"(?<![\w.$}-])/(?:" + "|".join(["wo" + "rk", "ro" + "ot", "ho" + "me", "Us" + "ers"]) + r")/[\w.]"
    ),
    "a package registry's address": re.compile(
        r"https?://[^\s\"'<>)]*(?:py" + r"pi\.|python" + r"hosted|np" + r"mjs|maven" + r"\.org|maven" + r"2|crates"
        r"\.io|proxy\.golang|artifac" + r"tory|nex" + r"us|regis" + r"try[.\-/])"
    ),
    "an index option": re.compile(r"--(?:extra-)?ind" + r"ex-url[= ]+\S*://"),
    "a lock file's download address": re.compile(r"\"resol" + r"ved\": *\"http"),
    "an address of a private network": re.compile(
        r"(?<![\d.])(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}(?![\d.])"
    ),
}
READABLE = re.compile(r"\.(?:py|lua|md|toml|ya?ml|json|txt|ts|tsx|css|html|sh|sql|conf|cfg|ini|example|template)$")
PLAIN_NAMES = {"Makefile", "Dockerfile", ".gitignore", ".dockerignore", ".npmrc", "LICENSE", "Procfile"}
# Tests of the guard against private addresses need some, and documentation networks are nobody's.
MAY_NAME_NETWORKS = ("tests/", "frontend/src/")


def texts() -> list[str]:
    return [path for path in files() if READABLE.search(path) or path.rsplit("/", 1)[-1] in PLAIN_NAMES]


def test_no_file_tells_of_one_machine() -> None:
    found = []
    for path in texts():
        for number, line in enumerate(read(path).splitlines(), 1):
            for what, pattern in FORBIDDEN.items():
                if what.endswith("network") and (path.startswith(MAY_NAME_NETWORKS) or "docs/" in path):
                    continue
                if "--mount=type=cache" in line:  # inside the image that is being built
                    continue
                if hit := pattern.search(line):
                    found.append(f"{path}:{number} {what}: {hit[0][:60]}")
    complain("these must not be committed:", found)


def test_the_patterns_find_what_they_are_for() -> None:
    samples = {
        "a path of one machine": "open('/ho" + "me/ada/notes.txt')",
        "a package registry's address": "https://py" + "pi.example.org/simple",
        "an index option": "pip install --ind" + "ex-url https://example.org/simple",
        "a lock file's download address": '"resol' + 'ved": "https://example.org/a.tgz"',
        "an address of a private network": "redis at 10." + "0.0.7",
    }
    missed = [what for what, sample in samples.items() if not FORBIDDEN[what].search(sample)]
    complain("patterns that find nothing:", missed)


def test_nothing_secret_is_committed() -> None:
    found = [path for path in files() if re.search(r"(^|/)\.env$|\.(pem|key|p12)$|redis_password|api_key$", path)]
    complain("secrets are made where they are used, never committed:", found)
