"""The gateway on a real socket with a real Redis. Its three backend services are real too, over the reference broker,
and can be made to fail on the wire: slow, refusing, or losing an answer after the work was done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from redis.asyncio import Redis
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_service.app import LUA, build
from booking_queue.backends.base import Published
from booking_queue.backends.memory import MemoryPublisher
from booking_queue.backends.memory_broker import MemoryBroker
from booking_queue.domain.job import Backend, NewJob, Options
from booking_queue.ledger.connection import connect
from booking_queue.ledger.ledger import Claim, Ledger, LegRef
from booking_queue.ledger.script import Scripts
from booking_queue.settings import Settings
from booking_queue.web.backend_service import create
from local.probe import free_port
from tests.services.live_app import Live, live

BOOKING = {"userId": "ada", "hotelId": "grand", "checkIn": "2027-01-01", "checkOut": "2027-01-03"}


@dataclass
class Wire:
    """What happens to requests for /publish before and after the service sees them."""

    delay: float = 0  # before
    refuse: bool = False  # 503, unseen
    lose_answer: bool = False  # after the work
    nonsense: bytes = b""  # answered instead of doing it
    asked: int = 0
    batches: list[int] = field(default_factory=list)  # sizes of those that the service saw

    def around(self, app: ASGIApp) -> ASGIApp:
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] != "/publish":
                return await app(scope, receive, send)
            self.asked += 1
            await asyncio.sleep(self.delay)
            if self.refuse or self.nonsense:
                await send({"type": "http.response.start", "status": 503 if self.refuse else 200, "headers": []})
                return await send({"type": "http.response.body", "body": self.nonsense})
            await app(scope, receive, _cut(send) if self.lose_answer else send)

        return wrapped


def _cut(send: Send) -> Send:
    async def cut(message: Message) -> None:
        if message["type"] == "http.response.start":  # a body that never comes: the connection is closed instead
            await send({**message, "headers": [(b"content-length", b"100000")]})

    return cut


class CountingPublisher(MemoryPublisher):
    wire: Wire

    async def publish(self, legs: Any) -> list[Published | Exception]:
        self.wire.batches.append(len(legs))
        return await super().publish(legs)


@dataclass
class Service:
    """One backend's service, which can be stopped and started on its port."""

    backend: Backend
    settings: Settings
    port: int
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    wire: Wire = field(default_factory=Wire)
    _running: AsyncExitStack | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def waiting(self) -> int:
        return sum(len(level) for level in self.broker.levels.values())

    async def start(self) -> None:
        def publisher(scripts: Scripts, settings: Settings) -> MemoryPublisher:
            made = CountingPublisher(Ledger(scripts), self.broker, self.backend)
            made.wire = self.wire
            return made

        app = create(f"standin-{self.backend}", self.settings, default_port=0, make_publisher=publisher)
        app.add_middleware(self.wire.around)
        self._running = AsyncExitStack()
        await self._running.enter_async_context(live(app, port=self.port))

    async def stop(self) -> None:
        if self._running:
            await self._running.aclose()
            self._running = None


@dataclass
class World:
    settings: Settings
    gateway: Live
    services: dict[Backend, Service]
    redis: Redis
    ledger: Ledger

    @property
    def http(self) -> httpx.AsyncClient:
        return self.gateway.http

    async def post(self, path: str = "/api/bookings", **changes: Any) -> httpx.Response:
        return await self.http.post(path, json={**BOOKING, **changes})

    async def book(self, **changes: Any) -> str:
        answer = await self.post(**changes)
        assert answer.status_code == 202, answer.text
        booking_id: str = answer.json()["bookingId"]
        return booking_id

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def status(self, booking_id: str) -> Any:
        return await self.get(f"/api/bookings/{booking_id}/status")

    async def states(self, booking_id: str) -> dict[str, str]:
        return {backend: leg["state"] for backend, leg in (await self.status(booking_id))["status"].items()}

    async def claim(self, booking_id: str, backend: Backend = Backend.RQ, generation: int = 1) -> Claim:
        claim = await self.ledger.claim(booking_id, backend, generation, "worker-1")
        assert isinstance(claim, Claim), claim
        return claim

    async def metric(self, name: str) -> float:
        """Of the gateway, by its name with its labels."""
        for line in (await self.http.get("/metrics")).text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no metric {name}")

    def key(self, name: str) -> str:
        return f"{self.settings.key_prefix}:{name}"


async def until(true: Callable[[], Any], seconds: float = 10) -> None:
    """Waits until it is; `true` may be async."""
    async with asyncio.timeout(seconds):
        while True:
            found = true()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def ledger_of(settings: Settings) -> AsyncIterator[tuple[Redis, Scripts, Ledger]]:
    redis = connect(settings)
    scripts = Scripts(redis, settings, extra=LUA)
    try:
        yield redis, scripts, Ledger(scripts)
    finally:
        await redis.aclose()


@asynccontextmanager
async def world(settings: Settings, *, up: bool = True, **changes: Any) -> AsyncIterator[World]:
    services = {backend: Service(backend, settings, free_port()) for backend in Backend}
    urls = {
        "queue_service_url": services[Backend.RQ].url,
        "stream_service_url": services[Backend.STREAMS].url,
        "kafka_service_url": services[Backend.KAFKA].url,
    }
    ours = settings.model_copy(update={**urls, **changes})
    async with AsyncExitStack() as stack:
        redis, _, ledger = await stack.enter_async_context(ledger_of(ours))
        for service in services.values():
            stack.push_async_callback(service.stop)
            if up:
                await service.start()
        gateway = await stack.enter_async_context(live(build(ours)))
        yield World(ours, gateway, services, redis, ledger)


async def accept(
    ledger: Ledger, job_id: str, *backends: Backend, indices: tuple[str, ...] = (), **options: Any
) -> LegRef:
    job = NewJob(
        id=job_id,
        type="booking",
        data=BOOKING,
        options=Options(**options),
        backends=list(backends) or [Backend.RQ],
    )
    assert await ledger.accept(job, indices)
    return LegRef(job_id, 1)
