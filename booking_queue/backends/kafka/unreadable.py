"""Records that aiokafka itself cannot read: a header whose name is no UTF-8 raises while a whole batch is unpacked.

Left alone they would be fetched again for ever, and nothing behind them would run. With such a record goes what follows
it in the same batch, which is the same producer's. What the call had unpacked of other partitions is lost with it too,
so all of them go back to where we are.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError

from booking_queue import logs
from booking_queue.backends.kafka.lane import Lane
from booking_queue.backends.kafka.lanes import Lanes

REFILL_SECONDS = 0.2

log = logs.get("kafka")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a record of which only the place is known."""

    topic: str
    partition: int
    offset: int
    reason: str
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


async def step_over(consumer: Any, lanes: Lanes, now_ms: int) -> None:
    """Takes what can be read one by one, and an `Unreadable` for what cannot."""
    for lane in lanes.owned:
        consumer.seek(lane.tp, await _position(consumer, lane))
    await asyncio.sleep(REFILL_SECONDS)
    for lane in lanes.owned:
        while not lane.should_pause(now_ms) and (record := await _next(consumer, lane)):
            lane.take(record, now_ms)


async def _position(consumer: Any, lane: Lane) -> int:
    if lane.read_to is not None:
        return lane.read_to
    committed: int | None = await consumer.committed(lane.tp)
    if committed is not None:
        return committed
    return int((await consumer.beginning_offsets([lane.tp]))[lane.tp])


async def _next(consumer: Any, lane: Lane) -> Any | None:
    try:
        batch = await consumer.getmany(lane.tp, max_records=1)
    except KafkaError:
        raise
    except Exception as error:
        offset = await consumer.position(lane.tp)
        log.warning("kafka_record_unreadable", topic=lane.tp.topic, partition=lane.tp.partition, offset=offset)
        consumer.seek(lane.tp, offset + 1)
        return Unreadable(lane.tp.topic, lane.tp.partition, offset, f"{type(error).__name__}: {error}")
    records = batch.get(lane.tp)
    return records[0] if records else None
