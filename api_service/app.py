"""Wires the gateway. `python -m api_service.app` serves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.requests import Request

from api_service import compensator, feed, janitor, reconciler
from api_service.answers import AcceptedBooking, DelayedAnswer
from api_service.compensator import Compensator
from api_service.dead_letters import Inbox
from api_service.fanout import Fanout
from api_service.feed import Feed
from api_service.gateway import Gateway
from api_service.janitor import Janitor
from api_service.limits import limits_of
from api_service.link import Link
from api_service.places import Places
from api_service.reconciler import Reconciler
from api_service.rounds import rounds, until_stopped
from api_service.routes import (
    bookings,
    cancel,
    dead_letters,
    dead_letters_many,
    events,
    hotels,
    keys,
    limits,
    session,
    submit,
)
from api_service.short import put_first
from booking_queue import logs
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.domain.job import Backend
from booking_queue.effects.mail import Mailer
from booking_queue.effects.payment import PaymentProvider
from booking_queue.ledger.backlog import read_backlog
from booking_queue.ledger.cancel import Cancellations
from booking_queue.ledger.compensation import Compensations
from booking_queue.ledger.connection import check, connect, refuse_cluster
from booking_queue.ledger.epoch import Epoch
from booking_queue.ledger.events import EventLog
from booking_queue.ledger.idempotency import Idempotency
from booking_queue.ledger.index import Index
from booking_queue.ledger.keys import Keys
from booking_queue.ledger.ledger import Ledger
from booking_queue.ledger.limits import Limits
from booking_queue.ledger.outbox import Outbox
from booking_queue.ledger.pressure import Pressure
from booking_queue.ledger.rooms import Rooms
from booking_queue.ledger.script import Scripts, source
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from booking_queue.settings_read import read
from booking_queue.web.client import ServiceClient
from booking_queue.web.health import ALARMS
from booking_queue.web.server import serve
from booking_queue.web.service import create_app

PORT = 3000
CONNECTIONS = 16
STOP_SECONDS = 3.0
EPOCH_SECONDS = 2.0
LIMITS_SECONDS = 30.0  # a ledger that was emptied is told again

log = logs.get("gateway")
LUA = source("booking_queue.ledger", "index.lua", "cancel.lua", "idempotency.lua")


class Parts:
    """Everything that lives as long as the gateway runs."""

    def __init__(self, settings: Settings, metrics: Metrics):
        self.settings = settings
        self.metrics = metrics
        self.redis = connect(settings, connections=CONNECTIONS)
        self.blocking = connect(settings, connections=1, answer_seconds=feed.BLOCK_MS / 1000 + 3)
        self.scripts = scripts = Scripts(self.redis, settings, extra=LUA)
        self.epoch = Epoch(self.redis, settings, metrics)
        ledger, index, rooms = Ledger(scripts), Index(scripts, settings), Rooms(scripts)
        event_log = EventLog(self.redis, self.blocking, settings)
        self.links = {backend: Link(backend, _client(settings, url)) for backend, url in _urls(settings).items()}
        outbox = Outbox(scripts)
        self.reconcilers = [Reconciler(link, outbox, metrics) for link in self.links.values()]
        self.payments, self.mails = PaymentProvider(settings), Mailer(settings)
        self.compensator = Compensator(ledger, Compensations(scripts), self.payments, self.mails, metrics)
        self.janitor = Janitor(rooms, index)
        self.gateway = Gateway(
            settings=settings,
            ledger=ledger,
            index=index,
            rooms=rooms,
            feed=Feed(event_log),
            places=Places(),
            fanout=Fanout(ledger, self.links, settings.publish_deadline),
            pressure=Pressure(self.redis),
            idempotency=Idempotency(scripts),
            cancellations=Cancellations(scripts),
            limits=Limits(scripts),
            keys=Keys(self.redis, settings),
            inbox=Inbox(index, ledger, event_log, self.links, settings.publish_deadline),
            compensate=asyncio.Event(),
        )

    def start(self, stop: asyncio.Event) -> list[asyncio.Task[None]]:
        turns = [
            rounds("compensator", self._compensate, compensator.TURN_SECONDS, stop, wake=self.gateway.compensate),
            rounds("mails", self.compensator.tell, compensator.TURN_SECONDS, stop, wake=self.compensator.paid),
            rounds("limits", self._tell_limits, LIMITS_SECONDS, stop),
            rounds("epoch", self.epoch.look, EPOCH_SECONDS, stop),
            rounds("holds", self.janitor.holds, janitor.HOLDS_SECONDS, stop),
            rounds("index", self.janitor.index, janitor.INDEX_SECONDS, stop, busy_seconds=janitor.INDEX_BUSY_SECONDS),
        ]
        for each in self.reconcilers:
            name = f"reconciler {each.link.backend}"
            turns.append(rounds(name, each.turn, reconciler.TURN_SECONDS, stop, wake=each.link.recovered))
        return [asyncio.create_task(turn) for turn in turns]

    async def _compensate(self) -> bool:
        self.gateway.compensate.clear()
        return await self.compensator.turn()

    async def _tell_limits(self) -> None:
        await self.gateway.limits.defaults(limits_of(self.settings))

    async def measure(self) -> None:
        self.metrics.event_streams.set(self.gateway.feed.followers)
        for reason, writes in self.scripts.refused.items():
            self.metrics.writes_refused.labels(reason).set(writes)
        for each in self.reconcilers:
            each.measure(await read_backlog(self.redis, self.settings, each.link.backend))

    async def close(self) -> None:
        for link in self.links.values():
            await link.client.aclose()
        await self.payments.close()
        await self.mails.close()
        await self.blocking.aclose()
        await self.redis.aclose()


def _urls(settings: Settings) -> dict[Backend, str]:
    return {
        Backend.RQ: settings.queue_service_url,
        Backend.STREAMS: settings.stream_service_url,
        Backend.KAFKA: settings.kafka_service_url,
    }


def _client(settings: Settings, url: str) -> ServiceClient:
    return ServiceClient(url, api_key=settings.api_key, deadline=settings.publish_deadline)


def build(settings: Settings) -> FastAPI:
    metrics = Metrics()

    async def redis_check(request: Request) -> Mapping[str, Any] | None:
        parts: Parts = request.state.parts
        await check(parts.redis)
        return {ALARMS: ["ledger_emptied"]} if parts.epoch.alarmed else None

    async def scrape(request: Request) -> None:
        try:
            await request.state.parts.measure()
        except LedgerUnavailable as error:
            log.warning("gauges_unavailable", why=str(error))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        async with _running(Parts(settings, metrics)) as parts:
            yield {"gateway": parts.gateway, "parts": parts, "keys": parts.gateway.keys}

    app = create_app(
        "api",
        settings,
        default_port=PORT,
        lifespan=lifespan,
        routers=_routers(settings),
        checks={"redis": redis_check},
        batch_paths={"/api/bookings/batch"},
        metrics=metrics,
        scrape=scrape,
    )
    options: dict[str, Any] = {"status_code": 202, "tags": ["bookings"]}
    put_first(app, "/api/bookings/delayed", submit.create_delayed_booking, response_model=DelayedAnswer, **options)
    put_first(app, "/api/bookings", submit.create_booking, response_model=AcceptedBooking, **options)
    return app


def _routers(settings: Settings) -> list[APIRouter]:
    modules = (submit, bookings, cancel, events, hotels, limits, dead_letters, dead_letters_many, keys)
    return [*(module.router for module in modules), session.router(settings)]


@asynccontextmanager
async def _running(parts: Parts) -> AsyncIterator[Parts]:
    stop = asyncio.Event()
    turns = parts.start(stop)
    reader = asyncio.create_task(parts.gateway.feed.run())
    try:
        yield parts
    finally:
        stop.set()
        reader.cancel()
        await until_stopped([*turns, reader], STOP_SECONDS)
        await parts.close()


def main() -> None:
    settings = read(Settings)
    serve(build(settings), settings, before=refuse_cluster)


if __name__ == "__main__":
    main()
