"""The Kafka consumer on a real Kafka: what it must survive beyond the contract of all backends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from booking_queue.backends.kafka import lane as partition
from booking_queue.backends.kafka import watchdog
from booking_queue.backends.kafka.topics import Topics
from booking_queue.backends.kafka_topic import KafkaConsumer, KafkaPublisher
from booking_queue.domain.job import Priority
from booking_queue.settings import Settings
from tests.contract.lanes import Lane, lane_of
from tests.contract.worker import eventually


@pytest.fixture
async def lane(settings: Settings) -> AsyncIterator[Lane]:
    async with lane_of("kafka", settings) as lane:
        yield lane


@asynccontextmanager
async def stranger(settings: Settings, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that knows nothing of us."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_broker, **options)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def letters(lane: Lane, count: int) -> list[dict[str, Any]]:
    async def there() -> list[dict[str, Any]] | None:
        found = await lane.publisher.dead_letters()
        return found if len(found) >= count else None

    found: list[dict[str, Any]] = await eventually(there, f"{count} dead letters")
    assert len(found) == count
    return found


async def test_bytes_that_are_no_envelope_become_dead_letters_and_the_rest_goes_on(lane: Lane) -> None:
    main = Topics(lane.settings).main
    bad = [b"\xff\xfe no json", b"[]", b'{"v":1,"id":7}', b'{"v":99,"id":"x","type":"noop"}', None, b"x" * 1_000_000]
    async with stranger(lane.settings) as producer:
        sent = [
            await producer.send_and_wait(main, value, b"a key", partition=0, headers=[("theirs", b"kept")])
            for value in bad
        ]
    jobs = [await lane.send() for _ in range(9)]
    await lane.worker()
    for job in jobs:
        await lane.reach(job, "completed")
    found = {letter["originalOffset"]: letter for letter in await letters(lane, len(bad))}
    assert sorted(found) == [answer.offset for answer in sent]
    for letter in found.values():
        assert letter["error"].startswith("unreadable: ")
        assert (letter["originalTopic"], letter["originalPartition"], letter["key"]) == (main, 0, "a key")
        assert letter["failedAt"]
    assert found[sent[0].offset]["value"] == b"\xff\xfe no json".decode(errors="replace")
    assert found[sent[5].offset]["bytes"] == 1_000_000, "the value is kept whole"
    await lane.idle()
    assert sorted(lane.journal.started) == sorted(jobs)


async def test_a_consumer_knows_its_partitions(lane: Lane) -> None:
    first = await lane.worker()
    await lane.reach(await lane.send(), "completed")
    topics = Topics(lane.settings)
    everything = {f"{topic}/{number}" for topic in topics.consumed for number in range(3)}
    assert set(first.consumer.details()["partitions"]) == everything
    second = await lane.worker()
    consumers = first.consumer, second.consumer

    async def shared() -> bool:
        mine, theirs = (set(consumer.details()["partitions"]) for consumer in consumers)
        return bool(mine and theirs) and mine | theirs == everything and not mine & theirs

    await eventually(shared, "the two to share them", patience=30)


async def test_the_markers_of_transactions_hold_nobody_up_and_are_no_lag(lane: Lane) -> None:
    topics = Topics(lane.settings)
    async with stranger(lane.settings, transactional_id=topics.group) as producer:
        for topic, number in ((topics.levels[Priority.CRITICAL], 0), (topics.retries[1], 1)):
            async with producer.transaction():
                await producer.send_and_wait(topic, b"theirs", partition=number)
        await producer.begin_transaction()
        await producer.send_and_wait(topics.levels[Priority.HIGH], b"given up", partition=2)
        await producer.abort_transaction()
    worker = await lane.worker()
    await lane.reach(await lane.send(), "completed")
    await lane.idle()
    consumer = worker.consumer
    assert isinstance(consumer, KafkaConsumer) and consumer._member
    assert await consumer.watchdog._symptoms(consumer._member) == {}


async def test_a_marker_that_came_while_nobody_read_is_stepped_over(lane: Lane) -> None:
    topics = Topics(lane.settings)
    async with stranger(lane.settings, transactional_id=topics.group) as producer, producer.transaction():
        await producer.send_and_wait(topics.levels[Priority.CRITICAL], b"theirs", partition=0)
        first = await lane.worker()
        await letters(lane, 1)
        await lane.idle()
        await first.leave()

    async def marked() -> bool:
        return bool((await lane.publisher.stats())["lag"] == 1)

    await eventually(marked, "the marker")
    await lane.worker()
    await lane.reach(await lane.send(), "completed")
    await lane.idle()


def batch_with_a_bad_header_name() -> bytes:
    """No client library lets this through, so it is made of a good batch."""
    builder = DefaultRecordBatchBuilder(
        2, 0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1, batch_size=9999
    )
    for offset in range(3):
        builder.append(offset, 1, b"k%d" % offset, b"v", [("KKKK" if offset == 1 else "fine", b"x")])
    raw = bytearray(bytes(builder.build()).replace(b"KKKK", b"\xff\xfe\xff\xfe"))
    raw[17:21] = calc_crc32c(memoryview(raw)[21:]).to_bytes(4, "big")
    return bytes(raw)


async def test_a_record_that_the_client_itself_cannot_read_is_stepped_over(lane: Lane) -> None:
    main = Topics(lane.settings).main
    before = [await lane.send() for _ in range(6)]
    async with stranger(lane.settings) as producer:
        await producer.partitions_for(main)
        node = producer.client.cluster.leader_for_partition(TopicPartition(main, 1))
        request = ProduceRequest(None, -1, 5000, [(main, [(1, batch_with_a_bad_header_name())])])
        await producer.client.send(node, request)
    after = [await lane.send() for _ in range(6)]
    await lane.worker()
    for job in before + after:
        await lane.reach(job, "completed")
    found = await letters(lane, 3)
    unreadable = sorted(letter["originalOffset"] for letter in found if "UnicodeDecodeError" in letter["error"])
    first = min(letter["originalOffset"] for letter in found)
    assert unreadable == [first + 1, first + 2], "from the bad one to the end of its batch"
    assert {letter["originalPartition"] for letter in found} == {1}
    await lane.idle()
    assert sorted(lane.journal.started) == sorted(before + after)


async def test_large_records_are_read_ahead_in_part_and_all_of_them_run(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound, size in {"AHEAD_BYTES": 256_000, "AHEAD_BYTES_LOW": 128_000, "OWN_BYTES": 64_000}.items():
        monkeypatch.setattr(partition, bound, size)
    large = {"text": "x" * 60_000}
    jobs = await asyncio.gather(*(lane.send("gated", data=large) for _ in range(90)))
    worker = await lane.worker(slots=1)
    consumer = worker.consumer
    assert isinstance(consumer, KafkaConsumer)

    async def enough() -> bool:
        member, holding = consumer._member, [one for one in consumer._lanes.owned if one.backlog]
        read = sum(one.backlog for one in holding) == len(jobs) - 1
        return read or (len(holding) == 3 and member is not None and all(member.paused(one) for one in holding))

    await eventually(enough, "it to have read ahead what it will")
    assert sum(one.bytes for one in consumer._lanes.owned) < 45 * 60_000
    lane.journal.gate.set()
    for job in jobs:
        await lane.reach(job, "completed")
    await lane.idle()


async def test_a_crash_repeats_nothing_below_the_watermark_and_reruns_only_what_was_open(lane: Lane) -> None:
    gated = await lane.send("gated")
    partition = (await lane.place(gated))["partition"]
    first = await lane.worker(slots=8)
    await lane.reach(gated, "active")
    jobs = [await lane.send() for _ in range(30)]
    for job in jobs:
        await lane.reach(job, "completed")

    async def committed() -> bool:
        offsets = (await lane.publisher.stats())["offsets"]
        lags = {at["partition"]: at["lag"] for at in offsets if at["topic"] == Topics(lane.settings).main}
        assert lags[partition] > 0, "nothing above the gated job may be committed"
        return all(lag == 0 for other, lag in lags.items() if other != partition)

    await eventually(committed, "the other partitions to be committed")
    await first.vanish()
    lane.journal.gate.set()
    await lane.worker()
    await lane.reach(gated, "completed")
    await lane.idle()
    assert sorted(lane.journal.started) == sorted([gated, gated, *jobs])


async def test_who_leaves_has_committed_all_that_is_done(lane: Lane) -> None:
    worker = await lane.worker(slots=3)
    jobs = [await lane.send() for _ in range(30)]
    for job in jobs:
        await lane.reach(job, "completed")
    await worker.leave()
    assert (await lane.publisher.stats())["lag"] == 0


async def test_who_leaves_with_a_long_job_in_hand_holds_up_no_other(lane: Lane) -> None:
    first = await lane.worker()
    long = await lane.send("gated")
    await lane.reach(long, "active")
    leaving = asyncio.create_task(first.leave())
    await lane.worker()
    others = [await lane.send() for _ in range(30)]
    for job in others:
        await lane.reach(job, "completed")
    lane.journal.gate.set()
    await leaving
    await lane.reach(long, "completed")
    assert sorted(lane.journal.started) == sorted([long, *others])
    await lane.idle()


async def test_members_that_come_and_go_run_each_job_once(lane: Lane) -> None:
    jobs: list[str] = []

    async def send() -> None:
        for _ in range(60):
            jobs.append(await lane.send())
            await asyncio.sleep(0.03)

    await lane.worker(slots=3)
    sending = asyncio.create_task(send())
    for _ in range(3):
        other = await lane.worker(slots=3)
        await asyncio.sleep(0.4)
        await other.leave()
    await sending
    for job in jobs:
        await lane.reach(job, "completed")
    assert sorted(lane.journal.started) == sorted(jobs)
    await lane.idle()


async def test_a_running_job_is_started_by_nobody_else_while_its_partition_wanders(lane: Lane) -> None:
    await lane.worker()
    job = await lane.send("gated")
    await lane.reach(job, "active")
    for _ in range(2):
        other = await lane.worker()
        await asyncio.sleep(lane.settings.lease_seconds)
        await other.leave()
    assert lane.journal.started == [job]
    lane.journal.gate.set()
    await lane.reach(job, "completed")
    assert lane.journal.started == [job]
    await lane.idle()


async def test_a_consumer_waits_for_the_topics_to_be_made(settings: Settings) -> None:
    async with lane_of("memory", settings) as lane:  # for its ledger and handlers: no publisher has made topics yet
        lane.kind, lane.backend = "kafka", KafkaPublisher.backend
        await lane.worker()
        await asyncio.sleep(1)
        lane.publisher = KafkaPublisher(lane.ledger, settings)
        await lane.publisher.open()
        job = await lane.send()
        await lane.reach(job, "completed")


async def test_a_consumer_that_stands_still_is_replaced(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "STILL_SECONDS", 1)
    worker = await lane.worker()
    consumer = worker.consumer
    assert isinstance(consumer, KafkaConsumer)
    await lane.reach(await lane.send(), "completed")
    await lane.idle()
    stuck = consumer._member
    assert stuck

    async def hangs(**_: Any) -> None:
        await asyncio.sleep(3600)

    stuck.consumer.getmany = hangs
    await asyncio.sleep(0.5)  # the call under way ends
    job = await lane.send()
    await lane.reach(job, "completed")
    assert consumer.watchdog.rebuilds == 1
    assert consumer._member is not stuck
    await asyncio.sleep(3)
    assert consumer.watchdog.rebuilds == 1, "a lane without work is no fault"


async def test_a_letter_sent_twice_is_listed_once(lane: Lane) -> None:
    await lane.worker()
    first, second = await lane.send(fails=9, attempts=1), await lane.send(fails=9, attempts=1)
    for job in (first, second):
        await lane.reach(job, "dead")
    await letters(lane, 2)
    await lane.redis.zadd(f"{lane.settings.key_prefix}:outbox:kafka", {first: 1})
    await lane.deliver_outbox()

    async def three() -> bool:
        return bool((await lane.publisher.stats())["stats"]["dlqMessages"] == 3)

    await eventually(three, "the second copy")
    assert [letter["messageId"] for letter in await lane.publisher.dead_letters()] == [first, second]


async def test_a_list_of_letters_shows_the_beginning_of_large_data(lane: Lane) -> None:
    await lane.worker()
    job = await lane.send(fails=9, attempts=1, data={"text": "x" * 60_000})
    await lane.reach(job, "dead")
    (letter,) = await letters(lane, 1)
    assert (letter["messageId"], letter["type"], letter["generation"], letter["data"]) == (job, "noop", 1, None)
    assert letter["bytes"] > 60_000 and len(letter["value"]) == 1000


async def test_a_letter_says_where_the_job_stood_first_also_after_retries(lane: Lane) -> None:
    await lane.worker()
    job = await lane.send(fails=9, attempts=2, priority="high")
    receipt = await lane.place(job)
    leg = await lane.reach(job, "dead")
    assert leg.receipt == receipt, "a retry is a copy; the job's place stays"
    (letter,) = await letters(lane, 1)
    place = (letter["originalTopic"], letter["originalPartition"], letter["originalOffset"])
    assert place == (receipt["topic"], receipt["partition"], receipt["offset"])
    assert (letter["messageId"], letter["key"], letter["data"], letter["attempt"]) == (job, job, {"n": 1}, 2)
    await lane.idle()
