"""Wires the providers: one SQLite, the payment provider's routes, the mail catcher's SMTP and inbox."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from fastapi import FastAPI, Request

from booking_queue import logs
from booking_queue.clock import now_ms
from booking_queue.settings_read import read
from booking_queue.web import server
from booking_queue.web.problems import Problem
from booking_queue.web.service import create_app
from providers import calls, faults, inbox, payments
from providers.faults import Faults
from providers.options import ProviderSettings
from providers.protocol import CuttableProtocol
from providers.smtp import Catcher, SmtpService
from providers.store import Store

PORT = 8025
PRUNE_SECONDS = 60.0
MAIL_CONTENTS_KEPT = 10_000

log = logs.get("providers")


def build(settings: ProviderSettings, smtp_listener: socket.socket) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        store, fault_state = Store(settings.providers_db), Faults()
        await store.open()
        smtp = SmtpService(Catcher(store, fault_state))
        smtp_server = await asyncio.get_running_loop().create_server(smtp.connection, sock=smtp_listener)
        pruning = asyncio.create_task(_prune(store, settings))
        try:
            yield {"store": store, "faults": fault_state, "dedupe": settings.dedupe == "on"}
        finally:
            pruning.cancel()
            smtp_server.close()
            smtp.close()
            await store.close()

    async def database(request: Request) -> None:
        await request.state.store.read(lambda db: db.execute("SELECT 1").fetchone())

    return create_app(
        "providers",
        settings,
        default_port=PORT,
        lifespan=lifespan,
        routers=[payments.router, inbox.router, faults.router, calls.router],
        about={"dedupe": settings.dedupe},
        checks={"database": database},
    )


async def _prune(store: Store, settings: ProviderSettings) -> None:
    age_ms = settings.providers_retention * 1000
    while True:
        await asyncio.sleep(PRUNE_SECONDS)
        with suppress(Problem):  # the store has logged it
            await store.write(
                partial(calls.prune, older_than_ms=now_ms() - age_ms, keep_mail_contents=MAIL_CONTENTS_KEPT)
            )


def main() -> None:
    settings = read(ProviderSettings)
    listener = server.listen("providers", settings.bind_host, settings.smtp_port, "SMTP_PORT")
    server.serve(build(settings, listener), settings, CuttableProtocol)


if __name__ == "__main__":
    main()
