"""Alarms instead of silence: what should never happen is counted, and told with what to do about it."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from booking_queue.ledger import pressure
from booking_queue.ledger.connection import connect, refuses_writes
from booking_queue.ledger.outbox import Outbox
from booking_queue.settings import Settings
from local.broker_process import RedisProcess
from monitoring_service import alarms, watch
from monitoring_service.incidents import REMEMBERED, TOLD_SECONDS, Incidents
from monitoring_service.remedies import REMEDIES
from queue_service.app import build as queue_service
from tests.brokers import BrokerFactory
from tests.contract.lanes import lane_of
from tests.contract.worker import eventually
from tests.services.live_app import Live, live
from tests.services.monitoring_world import ALL, RQ_STATS, World, fresh, watched, worker_stats, world_of

JOB: dict[str, Any] = {"type": "noop", "data": {"n": 1}}


@pytest.fixture
async def world(redis_settings: Settings) -> AsyncIterator[World]:
    async with world_of(redis_settings) as found:
        yield found


async def alarm(world: World, name: str, about: str) -> dict[str, Any]:
    """Waits for it."""

    def of(body: dict[str, Any]) -> list[dict[str, Any]]:
        return [one for one in body["alarms"] if (one["alarm"], one["about"]) == (name, about)]

    (found,) = of(await world.until("/dashboard", of, seconds=30))
    assert found["detail"] and found["remedy"] == REMEDIES[name]
    text = (await world.monitoring.http.get("/metrics")).text
    assert f'alarm_active{{about="{about}",alarm="{name}"}} 1.0' in text
    return dict(found)


async def metrics(service: Live) -> str:
    return (await service.http.get("/metrics")).text


def test_every_alarm_has_its_remedy() -> None:
    goes_on = re.findall(r'yield "(\w+)"', Path(alarms.__file__).read_text())
    happened = [name for name, _ in alarms.INCIDENTS.values()]
    assert {*goes_on, *happened} == set(REMEDIES)


def test_an_incident_is_told_for_a_while_and_only_if_it_was_seen_to_happen() -> None:
    now = 1000.0
    seen = Incidents(clock=lambda: now)
    seen.count("vanished", "redisStreams", 5)
    assert seen.recent() == [], "it happened before we looked on"
    seen.count("vanished", "redisStreams", 7)
    now += 10
    seen.count("vanished", "redisStreams", 8)
    (one,) = seen.recent()
    assert (one.kind, one.about, one.times, one.seconds) == ("vanished", "redisStreams", 3, 0)
    seen.count("vanished", "redisStreams", 0)
    assert seen.recent()[0].times == 3, "a count that begins anew takes nothing back"
    now += TOLD_SECONDS
    assert seen.recent() == []
    seen.count("vanished", "redisStreams", 1)
    assert seen.recent()[0].times == 1


def test_what_is_over_is_not_told_anew_after_many_names_of_workers() -> None:
    now = 1000.0
    seen = Incidents(clock=lambda: now)
    seen.count("ledger_emptied", "ledger", 1, from_zero=True)
    now += TOLD_SECONDS
    for number in range(REMEMBERED + 1):
        seen.count("ledger_emptied", "ledger", 1, from_zero=True)
        seen.count("refused", f"w{number}", 0)
    assert seen.recent() == []
    assert len(seen._seen) == REMEMBERED


async def test_a_redis_emptied_under_the_suite(world: World) -> None:
    async with live(queue_service(world.settings)) as queue:
        await world.start(queue_service_url=queue.url)
        await world.until("/dashboard", fresh("rq", "ledger"))
        assert (await queue.http.get("/stats")).json()["ledger"] == {"emptied": 0, "writesRefused": {}}
        assert "alarms" not in (await queue.http.get("/readyz")).json()
        for key in await world.redis.keys(f"{world.settings.key_prefix}:*"):
            await world.redis.delete(key)
        found = await alarm(world, "ledger_emptied", "ledger")
        assert "mark" in found["detail"] and found["since"].endswith("Z")
        await world.until("/dashboard", fresh("rq"))
        assert (await queue.http.get("/stats")).json()["ledger"]["emptied"] == 1
        ready = await queue.http.get("/readyz")
        assert (ready.status_code, ready.json()["alarms"]) == (200, ["ledger_emptied"])
        assert "ledger_emptied_total 1.0" in await metrics(queue)
        assert "ledger_emptied_total 1.0" in await metrics(world.monitoring)
        assert (await world.get("/readyz"))["alarms"] == ["ledger_emptied"]


async def test_a_redis_emptied_while_nobody_looked_on(redis_settings: Settings, tmp_path: Path) -> None:
    settings = redis_settings.model_copy(update={"history_file": tmp_path / "history"})
    async with world_of(settings) as world:
        await world.start()
        await world.until("/dashboard", fresh(*ALL))
    async with world_of(settings) as world:
        await world.redis.delete(f"{settings.key_prefix}:epoch")
        await world.start()
        await alarm(world, "ledger_emptied", "ledger")


async def test_the_streams_group_destroyed(world: World) -> None:
    async with lane_of("redisStreams", world.settings) as lane:
        await world.start()
        await lane.worker()
        await lane.reach(await lane.send(), "completed")
        await world.until("/dashboard", watched("ledger"))
        for level in ("-critical", "-high", "", "-low"):
            name = f"{world.settings.name_prefix}booking-stream{level}"
            await world.redis.xgroup_destroy(name, f"{world.settings.name_prefix}booking-workers")
        await lane.reach(await lane.send(), "completed")
        assert "destroyed" in (await alarm(world, "stream_group_destroyed", "redisStreams"))["detail"]


async def test_an_entry_deleted_while_in_hand(world: World) -> None:
    async with lane_of("redisStreams", world.settings) as lane:
        await world.start()
        first = await lane.worker()
        job = await lane.send("gated")
        await lane.reach(job, "active")
        await world.until("/dashboard", watched("ledger"))
        await first.vanish()
        name = f"{world.settings.name_prefix}booking-stream"
        entries: Any = await world.redis.xrange(name)
        await world.redis.xdel(name, *(entry for entry, _ in entries))
        await lane.worker()
        await alarm(world, "stream_entries_deleted", "redisStreams")


async def test_entries_trimmed_before_anybody_read_them(world: World) -> None:
    async with lane_of("redisStreams", world.settings) as lane:
        await world.start()
        job = await lane.send()
        await world.until("/dashboard", watched("ledger"))
        await world.redis.xtrim(f"{world.settings.name_prefix}booking-stream", maxlen=0)

        async def noticed() -> list[str]:
            return (await Outbox(lane.scripts).republish(lane.backend, 0))[1]

        assert await eventually(noticed, "the loss to be noticed") == [job]
        assert "neither run nor ended" in (await alarm(world, "broker_lost_jobs", "redisStreams"))["detail"]
        await lane.deliver_outbox()
        await lane.worker()
        await lane.reach(job, "completed")


async def test_a_job_that_kills_workers_and_a_consumer_that_stood_still(world: World) -> None:
    worker = await world.worker("w1", rebuilds={"kafka": 0})
    await world.start()
    await world.until("/dashboard", lambda body: watched(*ALL)(body) and body["workers"]["count"])
    await world.count(rq_crashed=5, rq_killers=1)  # in this order: the alarm comes with the second
    worker.answers["/stats"] = worker_stats("w1") | {"rebuilds": {"kafka": 2}}
    assert "killed" in (await alarm(world, "job_kills_workers", "rq"))["detail"]
    assert "2 times" in (await alarm(world, "consumer_stood_still", "w1"))["detail"]
    text = await metrics(world.monitoring)
    assert 'jobs_crashed_total{backend="rq"} 5.0' in text
    assert 'jobs_killing_workers_total{backend="rq"} 1.0' in text


async def test_a_lane_that_stands_still(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "STILL_SECONDS", 0.5)
    idle = {"rq": 0, "redisStreams": 0, "kafka": 0}
    worker = await world.worker("w1", running=idle)
    await world.start()
    await alarm(world, "lane_stands_still", "rq")
    await world.redis.hset(f"{world.settings.key_prefix}:limits", "rq.paused", "1")
    await world.until("/dashboard", lambda body: "lane_stands_still" not in {one["alarm"] for one in body["alarms"]})
    await world.redis.delete(f"{world.settings.key_prefix}:limits")
    await alarm(world, "lane_stands_still", "rq")
    worker.answers["/stats"] = worker_stats("w1")
    await world.until("/dashboard", lambda body: "lane_stands_still" not in {one["alarm"] for one in body["alarms"]})
    world.queue.answers["/stats"] = RQ_STATS


@pytest.fixture
async def own(broker_factory: BrokerFactory, redis_settings: Settings) -> AsyncIterator[tuple[World, Path]]:
    """With a Redis of its own, and its folder."""
    made = broker_factory.redis()
    if not isinstance(made, RedisProcess):
        pytest.skip("needs a Redis whose files can be reached")
    place = {"redis_host": made.host, "redis_port": made.port, "redis_password": made.password}
    async with world_of(redis_settings.model_copy(update=place)) as world:
        yield world, made.folder


async def test_a_redis_that_cannot_write_its_disk(own: tuple[World, Path]) -> None:
    world, folder = own
    async with live(queue_service(world.settings)) as queue:
        await world.start(queue_service_url=queue.url)
        assert (await queue.http.post("/jobs", json=JOB)).status_code == 201
        shutil.rmtree(folder)
        await world.redis.config_set("save", "3600 1")
        await world.redis.bgsave()
        await eventually(lambda: _snapshot_failed(world.redis), "the snapshot to fail")
        assert (await alarm(world, "redis_refuses_writes", "ledger"))["detail"].startswith("MISCONF")
        refused = await queue.http.post("/jobs", json=JOB)
        assert refused.status_code == 503
        assert "disk" in refused.json()["detail"]
        assert (await queue.http.get("/readyz")).status_code == 503
        assert 'redis_writes_refused{reason="MISCONF"} 1.0' in await metrics(queue)
        await alarm(world, "redis_refused", "rq")
        assert "redis_refuses_writes 1.0" in await metrics(world.monitoring)
        await world.redis.config_set("save", "")
        ready = await queue.http.get("/readyz")
        assert (ready.status_code, ready.json()["alarms"]) == (200, ["redis_refused"])
        assert (await queue.http.post("/jobs", json=JOB)).status_code == 201


async def _snapshot_failed(redis: Redis) -> bool:
    info = await redis.info("persistence")
    return not info["rdb_bgsave_in_progress"] and info["rdb_last_bgsave_status"] == "err"


async def test_a_redis_that_is_full(own: tuple[World, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = own
    async with live(queue_service(world.settings)) as queue:
        await world.start(queue_service_url=queue.url)
        await world.until("/dashboard", fresh("rq", "ledger"))
        monkeypatch.setattr(pressure, "LOOK_SECONDS", 3600)  # it fills up between two looks at it
        assert (await queue.http.post("/jobs", json=JOB)).status_code == 201
        await world.redis.config_set("maxmemory", "1mb")
        assert (await alarm(world, "redis_refuses_writes", "ledger"))["detail"].startswith("OOM")
        await alarm(world, "redis_memory", "ledger")
        assert (await queue.http.post("/jobs", json=JOB)).status_code == 503
        assert 'redis_writes_refused{reason="OOM"}' in await metrics(queue)
        await world.redis.config_set("maxmemory", "0")
        assert (await queue.http.post("/jobs", json=JOB)).status_code == 201
        await world.until("/dashboard", lambda body: "redis_memory" not in {one["alarm"] for one in body["alarms"]})


async def test_a_redis_without_its_replica(own: tuple[World, Path]) -> None:
    world, _ = own
    async with live(queue_service(world.settings)) as queue:
        await world.start(queue_service_url=queue.url)
        await world.redis.config_set("min-replicas-to-write", 1)
        assert (await alarm(world, "redis_refuses_writes", "ledger"))["detail"].startswith("NOREPLICAS")
        refused = await queue.http.post("/jobs", json=JOB)
        assert (refused.status_code, "replica" in refused.json()["detail"]) == (503, True)
        assert (await queue.http.get("/readyz")).status_code == 503
        await world.redis.config_set("min-replicas-to-write", 0)
        assert (await queue.http.post("/jobs", json=JOB)).status_code == 201


async def test_a_redis_with_one_replica_of_two(own: tuple[World, Path], broker_factory: BrokerFactory) -> None:
    world, _ = own
    made, ours = broker_factory.redis(), world.settings
    place = {"redis_host": made.host, "redis_port": made.port, "redis_password": made.password}
    await world.redis.config_set("repl-diskless-sync-delay", 0)
    async with connect(ours.model_copy(update=place)) as replica:
        await replica.config_set("masterauth", ours.redis_password or "")
        await replica.replicaof(ours.redis_host, ours.redis_port)
    await world.redis.config_set("min-replicas-to-write", 1)

    async def at_hand() -> bool:
        return bool((await world.redis.info("replication"))["min_slaves_good_slaves"] == 1)

    await eventually(at_hand, "the replica")
    await world.start()
    told = {one["alarm"] for one in (await world.until("/dashboard", fresh("ledger")))["alarms"]}
    assert "redis_refuses_writes" not in told
    await world.redis.config_set("min-replicas-to-write", 2)
    assert (await alarm(world, "redis_refuses_writes", "ledger"))["detail"].startswith("NOREPLICAS")


@pytest.mark.parametrize(
    ("info", "config", "word"),
    [
        ({}, {}, None),
        ({"role": "slave"}, {}, "READONLY"),
        ({"aof_last_write_status": "err"}, {}, "MISCONF"),
        ({"rdb_last_bgsave_status": "err"}, {"save": "", "stop-writes-on-bgsave-error": "yes"}, None),
        ({"rdb_last_bgsave_status": "err"}, {"save": "60 1", "stop-writes-on-bgsave-error": "yes"}, "MISCONF"),
        ({"rdb_last_bgsave_status": "err"}, {"save": "60 1", "stop-writes-on-bgsave-error": "no"}, None),
        ({"min_slaves_good_slaves": 1}, {"min-replicas-to-write": "1"}, None),
        ({"min_slaves_good_slaves": 1}, {"min-replicas-to-write": "2"}, "NOREPLICAS"),
        ({"min_slaves_good_slaves": 0}, {}, "NOREPLICAS"),
        ({"maxmemory": 10, "used_memory": 11}, {}, "OOM"),
        ({"maxmemory": 0, "used_memory": 11}, {}, None),
    ],
)
def test_why_redis_takes_no_writes(info: dict[str, Any], config: dict[str, Any], word: str | None) -> None:
    found = refuses_writes(info, config)
    assert found is None if word is None else found is not None and found.startswith(word)
