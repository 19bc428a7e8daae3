"""A booking that is accepted is accepted, whatever the backends do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from booking_queue.domain.job import Backend
from booking_queue.settings import Settings
from tests.brokers import BrokerFactory
from tests.services.api_world import World, until, world

KAFKA = Backend.KAFKA
NEVER = 60.0


@pytest.fixture
async def shop(redis_settings: Settings) -> AsyncIterator[World]:
    async with world(redis_settings, publish_deadline=0.5) as made:
        yield made


def queues(body: dict[str, dict[str, dict[str, str]]]) -> dict[str, str]:
    return {backend: queue["status"] for backend, queue in body["queues"].items()}


async def test_a_backend_that_is_down_leaves_its_leg_pending_and_gets_it_later(shop: World) -> None:
    kafka = shop.services[KAFKA]
    await kafka.stop()
    answer = await shop.post()
    assert answer.status_code == 202
    assert queues(answer.json()) == {"rq": "queued", "redisStreams": "queued", "kafka": "pending"}
    booking_id = answer.json()["bookingId"]
    assert (await shop.states(booking_id))["kafka"] == "pending"
    await kafka.start()
    await until(lambda: kafka.waiting == 1)
    await until(lambda: reached(shop, booking_id, KAFKA))


async def reached(shop: World, booking_id: str, backend: Backend) -> bool:
    return (await shop.states(booking_id))[backend] == "queued"


async def test_every_backend_down_is_no_error_either(shop: World) -> None:
    for service in shop.services.values():
        await service.stop()
    answer = await shop.post()
    assert answer.status_code == 202
    assert set(queues(answer.json()).values()) == {"pending"}


async def test_a_slow_backend_costs_the_deadline_and_holds_up_no_other(shop: World) -> None:
    shop.services[KAFKA].wire.delay = NEVER
    started = time.monotonic()
    answers = await asyncio.gather(*(shop.post() for _ in range(10)))
    assert time.monotonic() - started < 10
    for answer in answers:
        assert answer.status_code == 202
        assert queues(answer.json()) == {"rq": "queued", "redisStreams": "queued", "kafka": "pending"}


async def test_a_lost_answer_does_not_publish_twice(shop: World) -> None:
    kafka = shop.services[KAFKA]
    kafka.wire.lose_answer = True
    answer = await shop.post()
    assert queues(answer.json())["kafka"] == "pending", "nobody can know"
    assert kafka.waiting == 1
    kafka.wire.lose_answer = False
    booking_id = answer.json()["bookingId"]
    assert (await shop.states(booking_id))["kafka"] == "queued"
    await asyncio.sleep(3)
    assert kafka.waiting == 1


async def test_an_answer_that_cannot_be_read_counts_as_none(shop: World) -> None:
    wire = shop.services[KAFKA].wire
    wire.nonsense = b"<html>"
    answer = await shop.post()
    assert answer.status_code == 202
    assert queues(answer.json())["kafka"] == "pending"
    wire.nonsense = b""
    await until(lambda: reached(shop, answer.json()["bookingId"], KAFKA))


async def test_a_broker_that_is_down_behind_a_service_that_answers(shop: World) -> None:
    kafka = shop.services[KAFKA]
    kafka.broker.up = False
    answer = await shop.post()
    assert queues(answer.json())["kafka"] == "pending"
    kafka.broker.up = True
    await until(lambda: reached(shop, answer.json()["bookingId"], KAFKA))


async def test_a_failing_backend_is_soon_not_asked_any_more_and_drains_once_it_works(shop: World) -> None:
    kafka = shop.services[KAFKA]
    kafka.wire.refuse = True
    bookings = [await shop.book() for _ in range(6)]
    assert await shop.metric('backend_circuit_open{backend="kafka"}') == 1
    assert await shop.metric('backend_circuit_open{backend="rq"}') == 0
    asked = kafka.wire.asked
    for _ in range(20):
        answer = await shop.post()
        assert queues(answer.json()) == {"rq": "queued", "redisStreams": "queued", "kafka": "pending"}
        bookings.append(answer.json()["bookingId"])
    assert kafka.wire.asked - asked <= 2, "only probes ask"
    assert await shop.metric('outbox_legs{backend="kafka"}') == len(bookings)
    kafka.wire.refuse = False
    await until(lambda: kafka.waiting == len(bookings), 15)
    assert await shop.metric('backend_circuit_open{backend="kafka"}') == 0
    assert await shop.metric('outbox_legs{backend="kafka"}') == 0
    assert queues((await shop.post()).json())["kafka"] == "queued"


async def test_a_batch_that_hangs_does_not_hold_up_the_next_booking(shop: World) -> None:
    kafka = shop.services[KAFKA]
    kafka.wire.delay = NEVER
    hanging = asyncio.create_task(shop.post())
    await until(lambda: kafka.wire.asked == 1)
    kafka.wire.delay = 0
    answer = await shop.post()
    assert not hanging.done()
    assert queues(answer.json())["kafka"] == "queued"
    assert queues((await hanging).json())["kafka"] == "pending"


async def test_without_redis_it_is_503_and_heals(broker_factory: BrokerFactory) -> None:
    redis = broker_factory.redis()
    settings = Settings(redis_host=redis.host, redis_port=redis.port, redis_password=redis.password)
    async with world(settings) as shop:
        booking_id = await shop.book()
        await asyncio.to_thread(redis.kill)
        for _ in range(3):
            answer = await shop.post()
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
        ways = (
            "",
            f"/{booking_id}",
            f"/{booking_id}/status",
            f"/{booking_id}/events",
            f"/{booking_id}/confirmation.pdf",
        )
        for path in [f"/api/bookings{way}" for way in ways] + [
            "/api/events",
            "/api/hotels/h/inventory?checkIn=2027-01-01",
        ]:
            assert (await shop.http.get(path)).status_code == 503, path
        assert (await shop.http.get("/readyz")).status_code == 503
        assert (await shop.http.get("/livez")).status_code == 200
        await asyncio.to_thread(redis.start)
        await until(lambda: taken(shop), 30)
        assert (await shop.status(booking_id))["state"] == "accepted", "it was acknowledged, so it is still there"


async def taken(shop: World) -> bool:
    return (await shop.post()).status_code == 202
