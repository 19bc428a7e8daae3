"""The lanes on brokers that ask who we are and speak TLS, and what happens where we are not let in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.exceptions import ConnectionError as RedisConnectionError

from booking_queue.backends.kafka.cluster import Cluster
from booking_queue.backends.kafka.topics import Topics
from booking_queue.domain.errors import BackendUnavailable
from booking_queue.domain.job import Backend
from booking_queue.ledger.connection import check, connect
from booking_queue.ledger.epoch import Epoch
from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from deploy.make_secrets import OPERATOR
from monitoring_service.ledger_reader import LedgerReader
from queue_service.app import build as queue_service
from tests.brokers import BrokerFactory, RestartableRedis
from tests.contract.lanes import lane_of
from tests.faults.proxy import Proxy
from tests.secured import MECHANISMS, PASSWORD, USER, WATCHER, Certificates, SecureKafka, certificates, close_to_others
from tests.services.live_app import live
from tests.services.monitoring_world import fresh, world_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server() -> Iterator[RestartableRedis]:
    factory = BrokerFactory()
    server = factory.redis()
    close_to_others(server)
    yield server
    factory.close()


@pytest.fixture
async def front(server: RestartableRedis, made: Certificates) -> AsyncIterator[Proxy]:
    """TLS before Redis: not every redis-server is built with it."""
    async with Proxy(server.port, tls=made.context()) as front:
        yield front


@pytest.fixture
def known(front: Proxy, made: Certificates, name_prefix: str) -> Settings:
    """Settings by which we are let in to Redis."""
    return Settings(
        redis_port=front.port,
        redis_tls="on",
        redis_ca_file=made.authority,
        redis_username=USER,
        redis_password=PASSWORD,
        kafka_broker="127.0.0.1:1",
        key_prefix=name_prefix.rstrip("-"),
        name_prefix=name_prefix,
        history_file=None,
        lease_seconds=1,
        heartbeat_seconds=0.3,
    )


@pytest.fixture(scope="module")
def secure_kafka(made: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    kafka = SecureKafka(tmp_path_factory.mktemp("kafka"), made)
    kafka.start()
    yield kafka
    kafka.kill()


@pytest.fixture
def known_to_both(known: Settings, secure_kafka: SecureKafka, made: Certificates) -> Settings:
    login = {"kafka_username": USER, "kafka_password": PASSWORD, "kafka_sasl": MECHANISMS[-1]}
    place = {"kafka_broker": secure_kafka.broker, "kafka_tls": "on", "kafka_ca_file": made.authority}
    return known.model_copy(update={**place, **login})


@pytest.mark.parametrize("kind", ["rq", "redisStreams"])
async def test_a_lane_works_by_tls_as_a_user_of_few_rights(kind: str, known: Settings) -> None:
    async with lane_of(kind, known) as lane:
        await check(lane.redis)
        await lane.worker()
        await lane.reach(await lane.send(fails=1), "completed")
        await lane.reach(await lane.send(fails=1, attempts=1), "dead")
        assert len(await lane.publisher.dead_letters()) == 1


async def test_the_kafka_lane_works_by_tls_and_scram(known_to_both: Settings) -> None:
    async with lane_of("kafka", known_to_both) as lane:
        await lane.worker()
        done = await lane.send(fails=1)
        await lane.reach(done, "completed")
        await lane.reach(await lane.send(fails=1, attempts=1), "dead")
        publisher: Any = lane.publisher
        assert len(await publisher.dead_letters()) == 1
        place: Any = await publisher.lookup(done)
        assert place["readable"] is True


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"redis_username": None}, AuthenticationError),
        ({"redis_password": "another"}, AuthenticationError),
        ({"redis_tls": "off"}, RedisConnectionError),
        ({"redis_ca_file": None}, RedisConnectionError),  # the system's authorities do not know ours
        ({"redis_host": "localhost"}, RedisConnectionError),  # the certificate is for another name
    ],
)
async def test_redis_is_not_reached(known: Settings, change: dict[str, Any], refusal: type[Exception]) -> None:
    redis: Any = connect(known.model_copy(update=change))
    with pytest.raises(refusal) as raised:
        await redis.ping()
    if set(change) <= {"redis_ca_file", "redis_host"}:
        assert "CERTIFICATE_VERIFY_FAILED" in str(raised.value)
    await redis.aclose()


async def test_monitoring_looks_and_changes_nothing(known: Settings) -> None:
    async with lane_of("redisStreams", known) as lane:
        job = await lane.send()
        settings = known.model_copy(update={"redis_username": WATCHER})
        redis: Any = connect(settings)
        reader = LedgerReader(redis, settings, Epoch(redis, settings, Metrics()))
        assert (await reader.numbers()).backlog[Backend.STREAMS].unfinished == 1
        await reader.roll()
        for change in (redis.delete, redis.incr, redis.persist):
            with pytest.raises(NoPermissionError):
                await change(f"{settings.key_prefix}:job:{job}")
        with pytest.raises(NoPermissionError):
            await redis.set(f"{settings.key_prefix}:job:{job}", "")
        await redis.aclose()


async def test_monitoring_is_refused_nothing_that_it_asks_for(known: Settings) -> None:
    """Whatever somebody looks at, while there is a job in each state that can be had without a worker."""
    operator: Any = connect(known.model_copy(update={"redis_username": OPERATOR}))
    watcher = known.model_copy(update={"redis_username": WATCHER})
    async with operator, world_of(watcher) as world, live(queue_service(known)) as queue:
        await operator.acl_log_reset()
        world.redis = operator
        await world.worker("w1")
        for path in ("/jobs", "/jobs/delayed"):
            body = {"type": "noop", "data": {}} | ({"delay": 60_000} if "delayed" in path else {})
            assert (await queue.http.post(path, json=body)).status_code == 201
        await world.start(queue_service_url=queue.url)
        await world.until("/dashboard", fresh("rq", "ledger", "workers"))
        for path in (await world.get("/openapi.json"))["paths"]:
            assert (await world.monitoring.http.get(path)).status_code < 500, path
        found = await world.get("/queue/rq")
        assert (found["stale"], len(found["waiting"]), len(found["delayed"])) == (False, 1, 1)
        assert await operator.acl_log() == []


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_both_mechanisms(known_to_both: Settings, mechanism: str) -> None:
    await asked(known_to_both.model_copy(update={"kafka_sasl": mechanism}))


@pytest.mark.parametrize(
    "change",
    [
        {"kafka_password": "another"},
        {"kafka_sasl": "off"},
        {"kafka_tls": "off"},
        {"kafka_ca_file": None},
    ],
)
async def test_kafka_is_not_reached(known_to_both: Settings, change: dict[str, Any]) -> None:
    with pytest.raises(BackendUnavailable):
        await asked(known_to_both.model_copy(update=change))


async def asked(settings: Settings) -> None:
    cluster = Cluster(settings, Topics(settings), "asks")
    try:
        await cluster.ask(lambda clients: clients.admin.describe_cluster(), 5.0)
    finally:
        await cluster.close()
