"""Runs an app under uvicorn with a shutdown of our own.

On SIGTERM or SIGINT: /readyz turns 503 and event streams say `bye` (`app.state.stopping` is set), then
uvicorn closes its listener and gives running requests GRACE_SECONDS. A second signal stops the waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator

import uvicorn
import uvloop
from fastapi import FastAPI

from booking_queue import logs
from booking_queue.settings import Settings
from booking_queue.web.protocol import MAX_CONNECTIONS, BoundedProtocol

GRACE_SECONDS = 5
DRAIN_SECONDS = 0.5  # between "not ready" and the listener's end, for a balancer to notice


class Server(uvicorn.Server):
    """uvicorn without its own signal handling."""

    def __init__(self, app: FastAPI, protocol: type[BoundedProtocol] = BoundedProtocol):
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(
    app: FastAPI,
    settings: Settings,
    protocol: type[BoundedProtocol] = BoundedProtocol,
    before: Callable[[Settings], Coroutine[None, None, None]] | None = None,
) -> None:
    """Until a signal; returns for an exit status of 0. `before` may refuse the start, by SystemExit."""
    logs.configure(app.state.service, settings.log_level)
    listener = listen(app.state.service, settings.bind_host, app.state.port)
    _allow_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if before:
            runner.run(before(settings))
        runner.run(_serve_until_signal(app, listener, protocol))


def _allow_files() -> None:
    """Shells give 1,024 by default: fewer than MAX_CONNECTIONS."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, 2 * MAX_CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve_until_signal(app: FastAPI, listener: socket.socket, protocol: type[BoundedProtocol]) -> None:
    stop = asyncio.Event()
    server = Server(app, protocol)

    def on_signal() -> None:
        server.force_exit = stop.is_set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    await run(app, listener, stop, server)


async def run(
    app: FastAPI,
    listener: socket.socket,
    stop: asyncio.Event,
    server: Server | None = None,
    drain: float = DRAIN_SECONDS,
) -> None:
    """Serves in the running loop until `stop` is set: for a process that also does something else."""
    server = server or Server(app)
    log = logs.get("server")
    address, port = listener.getsockname()[:2]
    log.event("listening", address=address, port=port)
    stopper = asyncio.create_task(_stop(app, server, stop, drain))
    try:
        await server.serve(sockets=[listener])
    finally:
        stopper.cancel()
    log.event("stopped")


async def _stop(app: FastAPI, server: Server, stop: asyncio.Event, drain: float) -> None:
    await stop.wait()
    app.state.stopping.set()
    await asyncio.sleep(drain)
    server.should_exit = True


def listen(service: str, host: str, port: int, variable: str = "PORT") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, or asyncio leaves Nagle on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)  # before anything is started: a port that is taken must stop us here
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise SystemExit(f"{service}: port {port} on {host} is taken; set {variable} to another") from None
        raise SystemExit(f"{service}: cannot listen on {host}:{port}: {error.strerror}") from None
    listener.setblocking(False)
    return listener
