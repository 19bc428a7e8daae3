"""Fixtures that every suite shares: real brokers, and settings that keep tests apart."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Generator, Iterator
from typing import Any

import pytest
import redis
from aiokafka.admin import AIOKafkaAdminClient
from xdist.scheduler.loadfile import LoadFileScheduling

from booking_queue.settings import Settings
from tests import leftovers
from tests.brokers import IN_CI, BrokerFactory, Brokers, docker_answers
from tests.system.suites import ComposeSuite, LocalSuite, Suite


def pytest_configure() -> None:
    leftovers.mark_this_run()
    leftovers.sweep()


@pytest.fixture(scope="session")
def brokers() -> Iterator[Brokers]:
    """The session's Redis and Kafka, each started when first asked for."""
    factory = BrokerFactory(in_docker=docker_answers())
    yield Brokers(factory)
    factory.close()


@pytest.fixture
def broker_factory() -> Iterator[BrokerFactory]:
    """`.redis()` and `.kafka()` give brokers of the test's own, to stop, kill and start again."""
    factory = BrokerFactory()
    yield factory
    factory.close()


@pytest.fixture(scope="session")
def redis_url(brokers: Brokers) -> str:
    login = f":{brokers.redis_password}@" if brokers.redis_password else ""
    return f"redis://{login}{brokers.redis_host}:{brokers.redis_port}/0"


@pytest.fixture(scope="session")
def kafka_broker(brokers: Brokers) -> str:
    return brokers.kafka_broker


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """The whole suite, once a session: SUITE=compose runs it by Docker Compose."""
    running = ComposeSuite() if os.environ.get("SUITE") == "compose" else LocalSuite(tmp_path_factory.mktemp("suite"))
    try:
        running.up()
        yield running
    finally:
        running.close()


@pytest.fixture
def name_prefix() -> str:
    return f"t{secrets.token_hex(4)}-"


@pytest.fixture
def redis_settings(brokers: Brokers, name_prefix: str) -> Iterator[Settings]:
    """Settings of this test alone, on the session's Redis; nothing answers at its Kafka address."""
    yield settings_of(brokers, name_prefix, kafka_broker="127.0.0.1:1")
    _remove_keys(brokers, name_prefix)


@pytest.fixture
def settings(brokers: Brokers, name_prefix: str) -> Iterator[Settings]:
    """Settings of this test alone, on the session's Redis and Kafka. What it left there is removed."""
    yield settings_of(brokers, name_prefix, kafka_broker=brokers.kafka_broker)
    _remove_keys(brokers, name_prefix)
    asyncio.run(_remove_topics(brokers.kafka_broker, name_prefix))


def settings_of(brokers: Brokers, name_prefix: str, kafka_broker: str) -> Settings:
    return Settings(
        redis_host=brokers.redis_host,
        redis_port=brokers.redis_port,
        redis_username=os.environ.get("REDIS_USERNAME"),
        redis_password=brokers.redis_password,
        kafka_broker=kafka_broker,
        key_prefix=name_prefix.rstrip("-"),
        name_prefix=name_prefix,
        history_file=None,
        lease_seconds=1,
        heartbeat_seconds=0.3,
    )


def _remove_keys(brokers: Brokers, name_prefix: str) -> None:
    with redis.Redis(
        host=brokers.redis_host,
        port=brokers.redis_port,
        username=os.environ.get("REDIS_USERNAME"),
        password=brokers.redis_password,
    ) as client:
        # RQ puts its own `rq:…:` before the name of a queue.
        for key in client.scan_iter(match=f"*{name_prefix.rstrip('-')}*", count=1000):
            client.unlink(key)


async def _remove_topics(kafka_broker: str, name_prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_broker)
    await admin.start()
    try:
        left = [topic for topic in await admin.list_topics() if topic.startswith(name_prefix)]
        if left:
            await admin.delete_topics(left)
    finally:
        await admin.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: what it needs is missing, and nobody would notice."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where everything must run: {call.excinfo and call.excinfo.value}"
    return report


# Test processes take a file at a time, the longest first; all files of a folder that shares a lab or a suite are one.
LONGEST_FIRST = ("faults", "system", "contract", "browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def folder(item: pytest.Item) -> str:
        return item.path.parent.name

    items.sort(key=lambda item: LONGEST_FIRST.index(folder(item)) if folder(item) in LONGEST_FIRST else 99)


ONE = ("tests/faults/", "tests/browser/")


class OneLab(LoadFileScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        return next((folder for folder in ONE if path.startswith(folder)), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneLab:
    return OneLab(config, log)
