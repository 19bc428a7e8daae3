"""The providers' own SQLite, off the event loop.

One thread writes: whatever was asked for while it was busy goes into its next transaction, so that an fsync
is shared (and an answer is given only after it). Reads have a thread and a connection of their own.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from booking_queue import logs
from booking_queue.web import problems

MAX_BATCH = 256
MAX_WAITING = 5000

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], Any]
Waiting = tuple[Operation, "asyncio.Future[Any]"]

log = logs.get("store")


class Store:
    def __init__(self, path: Path):
        self.path = path
        self._waiting: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._count = 0
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="store-reader", initializer=self._open_reader)
        self._local = threading.local()
        self._writer: threading.Thread | None = None
        self._loop = asyncio.get_running_loop()

    async def open(self) -> None:
        await asyncio.to_thread(self._create)
        self._writer = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._writer.start()

    async def close(self) -> None:
        self._waiting.put(None)
        if self._writer:
            await asyncio.to_thread(self._writer.join)
        self._reader.shutdown()

    async def write(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """The operation's result, once it is on the disk. Operations return refusals, they do not raise them."""
        if self._count >= MAX_WAITING:
            raise problems.unavailable("Too many calls are waiting to be written")
        future: asyncio.Future[T] = self._loop.create_future()
        self._count += 1
        self._waiting.put((operation, future))
        return await future

    async def read(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, lambda: operation(self._local.connection))

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA busy_timeout=5000")
        return connection

    def _create(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = self._connect()
        connection.executescript((Path(__file__).parent / "schema.sql").read_text())
        connection.close()

    def _open_reader(self) -> None:
        self._local.connection = self._connect()

    def _write_loop(self) -> None:
        connection = self._connect()
        while (first := self._waiting.get()) is not None:
            batch = [first]
            stop = False
            while len(batch) < MAX_BATCH and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    stop = True
                    break
                batch.append(following)
            results = _commit(connection, [operation for operation, _ in batch])
            self._loop.call_soon_threadsafe(self._answer, [future for _, future in batch], results)
            if stop:
                break
        connection.close()

    def _answer(self, futures: list[asyncio.Future[Any]], results: list[Any]) -> None:
        self._count -= len(futures)
        for future, result in zip(futures, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


def _commit(connection: sqlite3.Connection, operations: list[Operation]) -> list[Any]:
    try:
        connection.execute("BEGIN IMMEDIATE")
        results = [operation(connection) for operation in operations]
        connection.execute("COMMIT")
    except Exception as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if len(operations) > 1:  # find the one to blame
            return [_commit(connection, [operation])[0] for operation in operations]
        log.error("write_failed", exc=error)
        return [problems.unavailable("The provider's disk does not take writes at the moment")]
    return results
