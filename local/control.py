"""Speaks to the supervisor: start in order, stop in the reverse order, scale, look."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

import psutil
from circus.client import CircusClient  # type: ignore[import-untyped]
from circus.exc import CallError  # type: ignore[import-untyped]

from local.paths import LOCAL, LOGS, ROOT, RUN, private_folder
from local.probe import wait_until
from local.suite import MARKER, STAGES, Part
from local.supervisor import ENDPOINT, PID, PLAN

LONGEST_SOCKET_PATH = 100


class SuiteTrouble(RuntimeError):
    """The suite cannot do what was asked; the message says why and what to do."""


def supervisor_pid() -> int | None:
    """The supervisor's process id, if it lives."""
    try:
        process = psutil.Process(int(PID.read_text()))
        return process.pid if process.environ().get(MARKER) == str(LOCAL) else None
    except (OSError, ValueError, psutil.Error):
        return None


def ask(command: str, timeout: float = 5, **properties: Any) -> dict[str, Any]:
    """One command to the supervisor. It takes one at a time, so a busy one is asked again."""
    deadline = time.monotonic() + timeout
    while True:
        client = CircusClient(endpoint=ENDPOINT, timeout=max(0.5, deadline - time.monotonic()))
        try:
            answer: dict[str, Any] = client.send_message(command, **properties)
        except CallError as error:
            raise SuiteTrouble(f"the supervisor does not answer ({error}); see {LOGS / 'supervisor.log'}") from error
        finally:
            client.stop()
        if answer.get("status") == "ok":
            return answer
        if "already running" not in str(answer.get("reason")) or time.monotonic() > deadline:
            raise SuiteTrouble(f"the supervisor refused `{command}`: {answer.get('reason')}")
        time.sleep(0.1)


def launch(parts: list[Part]) -> None:
    """Have a supervisor that knows exactly `parts`; one that knows others is stopped first."""
    if len(ENDPOINT) > LONGEST_SOCKET_PATH:
        raise SuiteTrouble(f"the path {RUN} is too long for a socket: set LOCAL_DIR to a shorter one")
    plan = json.dumps([part.as_json() for part in parts], indent=1)
    if supervisor_pid():
        if PLAN.exists() and PLAN.read_text() == plan:
            return
        print("The settings changed: stopping what runs first", file=sys.stderr, flush=True)
        stop_all()
    end_strays()
    private_folder(RUN)
    PLAN.unlink(missing_ok=True)
    PLAN.touch(mode=0o600)
    PLAN.write_text(plan)
    command = [sys.executable, "-m", "local.supervisor"]
    with (private_folder(LOGS) / "supervisor.log").open("ab") as log:
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, MARKER: str(LOCAL)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    if not wait_until(_listens, 20):
        raise SuiteTrouble(f"the supervisor did not start; see {LOGS / 'supervisor.log'}")


def _listens() -> bool:
    if not supervisor_pid():
        return False
    try:
        ask("numwatchers", timeout=0.5)
    except SuiteTrouble:
        return False
    return True


def states() -> dict[str, str]:
    """`active` or `stopped`, by part."""
    return {str(name): str(state) for name, state in ask("status")["statuses"].items()}


def start(names: Iterable[str]) -> None:
    for name in names:
        ask("start", timeout=30, name=name, waiting=True, match="simple")


def stop(names: Iterable[str]) -> None:
    for name in names:
        ask("stop", timeout=60, name=name, waiting=True, match="simple")


def scale(name: str, count: int) -> None:
    """Change how many processes `name` has; the others go on undisturbed."""
    ask("set", timeout=120, name=name, options={"numprocesses": count}, waiting=True)


def restart(names: Iterable[str]) -> None:
    for name in names:
        ask("restart", timeout=120, name=name, waiting=True, match="simple")


def processes() -> dict[str, dict[str, dict[str, Any]]]:
    """By part and process id, what circus knows of it: age, memory, processor time. Not of one that just died, of which
    it has a sentence instead."""
    infos: dict[str, dict[str, Any]] = ask("stats")["infos"]
    return {
        name: {pid: facts for pid, facts in found.items() if isinstance(facts, dict)} for name, found in infos.items()
    }


def stop_all() -> list[str]:
    """Stop every part in the reverse order of its start, then the supervisor, then whatever is left. What ran."""
    ran: list[str] = []
    if supervisor_pid():
        running = states()
        ran = [name for stage in STAGES for name in stage if running.get(name) not in (None, "stopped")]
        print(f"Stopping {', '.join(ran)} …", file=sys.stderr, flush=True)  # workers finish what they have in hand
        for stage in reversed(STAGES):
            if any(name in ran for name in stage):  # together: one after the other, each would wait for the last
                ask("stop", timeout=5, name=f"({'|'.join(stage)})$", waiting=False, match="regex")
            wait_until(lambda stage=stage: _stopped(stage), 90, every=0.1)  # type: ignore[misc]
        ask("quit", timeout=30, waiting=True)
        wait_until(lambda: not supervisor_pid(), 10)
    strays = end_strays()
    return ran or strays


def _stopped(stage: tuple[str, ...]) -> bool:
    running = states()
    return all(running.get(name) in (None, "stopped") for name in stage)


def end_strays() -> list[str]:
    """End processes of this suite that a killed supervisor left behind. What they were."""
    strays = [process for process in psutil.process_iter() if _is_ours(process)]
    told = [f"pid {process.pid}" for process in strays]
    for process in strays:
        process.terminate()
    for process in psutil.wait_procs(strays, timeout=30)[1]:
        process.kill()
    return told


def _is_ours(process: psutil.Process) -> bool:
    try:
        return bool(process.pid != os.getpid() and process.environ().get(MARKER) == str(LOCAL))
    except psutil.Error:
        return False
