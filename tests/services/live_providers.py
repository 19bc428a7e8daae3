"""The providers on real sockets: in the test's loop, or as the process that users run."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from booking_queue.settings import Settings
from booking_queue.web import server
from local.probe import free_port
from providers.app import build
from providers.options import ProviderSettings
from providers.protocol import CuttableProtocol
from tests.services.live_app import live


@dataclass
class Providers:
    http: httpx.AsyncClient
    url: str
    smtp_port: int

    @property
    def settings(self) -> Settings:
        """Of a service that uses these providers."""
        return Settings(providers_url=self.url, smtp_port=self.smtp_port)

    async def get(self, path: str) -> Any:
        return (await self.http.get(path)).raise_for_status().json()

    async def faults(self, **faults: dict[str, float]) -> None:
        (await self.http.put("/faults", json=faults)).raise_for_status()


@asynccontextmanager
async def live_providers(folder: Path, **settings: Any) -> AsyncIterator[Providers]:
    listener = server.listen("test", "127.0.0.1", 0)
    smtp_port = listener.getsockname()[1]
    app = build(ProviderSettings(providers_db=folder / "providers.sqlite3", **settings), listener)
    async with live(app, protocol=CuttableProtocol) as running:
        yield Providers(running.http, running.url, smtp_port)


@asynccontextmanager
async def providers_process(
    folder: Path, port: int = 0, smtp_port: int = 0
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Providers]]:
    port, smtp_port = port or free_port(), smtp_port or free_port()
    env = {"PORT": str(port), "SMTP_PORT": str(smtp_port), "PROVIDERS_DB": str(folder / "providers.sqlite3")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "providers.app", env={**os.environ, **env}, stdout=asyncio.subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as http:
            await _until_ready(http)
            yield process, Providers(http, url, smtp_port)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _until_ready(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
