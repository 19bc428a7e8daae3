"""Jobs of which two starts had no outcome run alone, each in a process that may die of it: its neighbours go on.

A child is this module as a program. It is told what to run over a socket, one job at a time, and ends with its parent.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import AsyncExitStack, nullcontext, suppress
from typing import Any, Self

import orjson
from pydantic import TypeAdapter

from booking_queue import logs
from booking_queue.domain.errors import (
    BookingQueueError,
    LeaseLost,
    LedgerUnavailable,
    PermanentError,
    RetryableError,
    bounded,
)
from booking_queue.ledger.connection import connect
from booking_queue.ledger.ledger import Claim
from booking_queue.settings import Settings
from booking_queue.tasks import end
from worker_service.attempt import Tools, run_handler, tools_of
from worker_service.standstill import Standstill

AT_A_TIME = 4
IDLE_SECONDS = 10.0
GRACE_SECONDS = 10.0  # for a child to start, and to tell by itself that the time is up
LINE_LIMIT = 4 * 1024 * 1024

CLAIM = TypeAdapter(Claim)
ERRORS = {kind.__name__: kind for kind in (RetryableError, PermanentError, LeaseLost, LedgerUnavailable)}

log = logs.get("worker")


class Crashed(BookingQueueError):
    """The child died: one more start without an outcome."""


class Child:
    """One process, which runs one suspect at a time."""

    def __init__(self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, worker_id: str) -> Self:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "worker_service.suspects", str(theirs.fileno()), worker_id),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
            )
        reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_LIMIT)
        return cls(process, reader, writer)

    async def run(self, claim: Claim, seconds: float) -> Any:
        self._writer.write(CLAIM.dump_json(claim) + b"\n")
        try:
            async with asyncio.timeout(seconds):
                line = await self._reader.readline()
        except TimeoutError:
            raise Crashed(f"its process did not answer for {seconds:g} s") from None
        if not line.endswith(b"\n"):
            status = await self.process.wait()
            raise Crashed(f"its process ended with {status}")
        answer = orjson.loads(line)
        if "error" in answer:
            raise ERRORS.get(answer["kind"], RetryableError)(answer["error"])
        return answer["result"]

    async def kill(self) -> None:
        self._writer.close()
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


class Suspects:
    """Up to AT_A_TIME children, started when they are needed and ended when they are idle."""

    def __init__(self, worker_id: str):
        self._worker_id = worker_id
        self._taken = 0
        self._idle: list[tuple[Child, asyncio.TimerHandle]] = []
        self._ending: set[asyncio.Task[None]] = set()

    def take(self) -> bool:
        if self._taken >= AT_A_TIME:
            return False
        self._taken += 1
        return True

    def give_back(self) -> None:
        self._taken -= 1

    async def run(self, claim: Claim, limit: float) -> Any:
        """As the handler in this process would; and Crashed."""
        log.event("suspect_started", jobId=claim.job_id, backend=claim.backend, earlierStarts=claim.earlier_starts)
        child = self._idle_child() or await Child.start(self._worker_id)
        try:
            result = await child.run(claim, limit + GRACE_SECONDS)
        except (RetryableError, PermanentError, LeaseLost, LedgerUnavailable):
            self._rest(child)
            raise
        except BaseException:
            await asyncio.shield(child.kill())
            raise
        self._rest(child)
        return result

    def _idle_child(self) -> Child | None:
        if not self._idle:
            return None
        child, timer = self._idle.pop()
        timer.cancel()
        return child

    def _rest(self, child: Child) -> None:
        def ended() -> None:
            self._idle.remove((child, timer))
            task = asyncio.create_task(child.kill())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

        timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, ended)
        self._idle.append((child, timer))

    async def close(self) -> None:
        while child := self._idle_child():
            await child.kill()


class Seat:
    """A place among the suspects, for one delivery: taken when it turns out to be one."""

    def __init__(self, suspects: Suspects | None):
        self._suspects = suspects
        self.taken = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.taken and self._suspects:
            self._suspects.give_back()
        self.taken = False

    @property
    def alone(self) -> bool:
        """Whether what runs now may be a suspect: without suspects, this process is one of its own."""
        return self._suspects is None or self.taken

    def take(self) -> bool:
        self.taken = self.taken or (self._suspects is not None and self._suspects.take())
        return self.taken

    async def run(self, claim: Claim, limit: float) -> Any:
        assert self._suspects is not None  # noqa: S101 - it is taken
        return await self._suspects.run(claim, limit)


async def serve(connection: socket.socket, worker_id: str) -> None:
    """The child: jobs in, results out, until the parent is gone, whatever runs."""
    settings = Settings()
    async with AsyncExitStack() as stack:
        redis = connect(settings)
        stack.push_async_callback(redis.aclose)
        tools = await tools_of(settings, redis, worker_id, stack)
        reader, writer = await asyncio.open_connection(sock=connection, limit=LINE_LIMIT)
        in_hand: list[str] = []
        standstill = Standstill(settings.lease_seconds, lambda: in_hand)
        watching = [asyncio.create_task(each(asyncio.Event())) for each in (tools.watch.run, standstill.watch)]
        try:
            while line := await reader.readline():
                claim = CLAIM.validate_json(line)
                in_hand[:] = [claim.type]
                job = asyncio.create_task(answer(claim, tools))
                gone = asyncio.create_task(reader.read(1))
                await asyncio.wait({job, gone}, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    os._exit(1)
                gone.cancel()
                await asyncio.wait({gone})
                writer.write(job.result() + b"\n")
                await writer.drain()
        finally:
            await end(*watching)


async def answer(claim: Claim, tools: Tools) -> bytes:
    try:
        return orjson.dumps({"result": await run_handler(claim, tools, nullcontext)})
    except Exception as error:
        kind = next((name for name, known in ERRORS.items() if isinstance(error, known)), "RetryableError")
        return orjson.dumps({"kind": kind, "error": bounded(str(error)) or type(error).__name__})


def main() -> None:
    number, worker_id = sys.argv[1:]
    logs.configure("worker", Settings().log_level)
    asyncio.run(serve(socket.socket(fileno=int(number)), worker_id))


if __name__ == "__main__":
    main()
