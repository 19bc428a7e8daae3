"""Schemathesis against a service that runs: every operation of its document, with what fits it and what does not."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from click.testing import CliRunner
from schemathesis.cli import schemathesis

HANG_SECONDS = 20  # beside other tests on a busy machine
# What fits one field by itself may not fit another (checkOut after checkIn), which no JSON schema tells. Every 5xx is
# looked at by our own check. `Allow` of /jobs/delayed names GET too, for a job may be called so.
UNFIT_CHECKS = "positive_data_acceptance,not_a_server_error,allow_header_conformance"
ENDLESS = "/events$"  # they answer for as long as somebody listens
FAILS_ON_REQUEST = "putFaults"  # from then on providers fail, dawdle and hang up, as they were asked to
OPTIONS = (
    *("--generation-deterministic", "--continue-on-failure", "--no-color", "--output-sanitize", "false"),
    *("--exclude-checks", UNFIT_CHECKS, "--exclude-path-regex", ENDLESS, "--exclude-operation-id", FAILS_ON_REQUEST),
    *("--request-timeout", str(HANG_SECONDS), "--suppress-health-check", "all", "--warnings", "off"),
)
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Found:
    """`requests` by URL; `wrong`: what Schemathesis tells, '' if all was as it should be."""

    requests: dict[str, int]
    wrong: str


async def fuzz(urls: Sequence[str], folder: Path, phases: str, examples: int = 1, key: str = "") -> Found:
    """`folder`: where it keeps what it finds; another each time, or it begins with what it found before. `key`: the
    operator's, where one is needed; then each route is asked without one too. All in one process of its own, which has
    to be started, and to read its libraries, once."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, phases, str(examples), key, *urls),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.services.fuzz_checks"},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Found(**orjson.loads(told))


def main(phases: str, examples: str, key: str, *urls: str) -> None:
    requests, wrong = {}, ""
    access = ("--header", f"x-api-key:{key}") if key else ("--exclude-checks", f"{UNFIT_CHECKS},ignored_auth")
    for url in urls:
        chosen = ("--phases", phases, "--max-examples", examples)
        told = CliRunner().invoke(schemathesis, ["run", f"{url}/openapi.json", *OPTIONS, *access, *chosen])
        generated = re.search(r"(\d+) generated", told.output)
        requests[url] = int(generated[1]) if generated else 0
        wrong += told.output if told.exit_code else ""
    print(orjson.dumps({"requests": requests, "wrong": wrong}).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
