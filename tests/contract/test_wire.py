"""Bytes that somebody changed on their way: never run with wrong data, always settled, and nobody behind them waits."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from typing import Any

from tests.contract.lanes import Lane
from tests.contract.wire import Fields, Message, message_of, wire_of

RUNS, STALE, LETTER, DROPPED = "runs", "stale", "letter", "dropped"
GONE = object()
DEEP: Any = "x"
for _ in range(40):
    DEEP = [DEEP]

# What each change leads to. A broker's form may not have the field, or may hold no other type than text.
NOT_THERE = {"rq": RUNS, "redisStreams": RUNS}
TEXT = {"redisStreams": RUNS}
CHANGES: list[tuple[Message, str, Mapping[str, str]]] = [
    ({}, RUNS, {}),
    ({"id": str(uuid.UUID(int=1))}, LETTER, {}),
    ({"id": "x" * 5000}, LETTER, {}),
    ({"id": "a\n\x00:b"}, LETTER, {"rq": DROPPED}),  # RQ has no such ids
    ({"id": GONE}, LETTER, {"rq": RUNS}),  # the key's name
    ({"id": ""}, LETTER, {"rq": DROPPED}),
    ({"id": 7}, LETTER, {}),
    ({"type": GONE}, LETTER, {}),
    ({"type": ""}, LETTER, {}),
    ({"type": 5}, LETTER, TEXT),
    ({"type": "x" * 5000}, LETTER, {"memory": RUNS, "kafka": RUNS}),
    ({"type": "no-such-type"}, RUNS, {}),
    ({"type": "gated"}, RUNS, {}),
    ({"data": {"n": 666}}, RUNS, {}),
    ({"data": GONE}, LETTER, {"memory": RUNS, "kafka": RUNS}),
    ({"data": None}, LETTER, {}),
    ({"data": [1]}, LETTER, {}),
    ({"data": "text"}, LETTER, {}),
    ({"data": {"n": DEEP}}, LETTER, {}),
    ({"data": {"n": "x" * 200_000}}, RUNS, {}),
    ({"data": {"n": "x" * 1_100_000}}, LETTER, {"kafka": DROPPED}),  # a broker of Kafka's does not take it
    ({"generation": GONE}, RUNS, {"redisStreams": LETTER}),
    ({"generation": 0}, STALE, {"redisStreams": LETTER}),
    ({"generation": 2}, STALE, {}),  # never issued
    ({"generation": 2**31 - 1}, STALE, {}),
    ({"generation": -1}, LETTER, {}),
    ({"generation": 2**62}, LETTER, {}),
    ({"generation": 2**53}, LETTER, {}),
    ({"generation": "1"}, LETTER, TEXT),
    ({"generation": True}, LETTER, {}),
    ({"generation": 1.5}, LETTER, {}),
    ({"generation": None}, LETTER, {}),
    ({"attempt": -1}, LETTER, {"rq": RUNS}),
    ({"attempt": 2**60}, LETTER, {"rq": RUNS}),
    ({"notBefore": -1}, LETTER, {"rq": RUNS}),
    ({"notBefore": 2**52}, RUNS, {}),
    ({"trace": 5}, LETTER, TEXT),
    ({"trace": "nonsense\r\n" * 1000}, RUNS, {}),
    ({"v": 2}, LETTER, NOT_THERE),
    ({"v": GONE}, LETTER, NOT_THERE),
    ({"v": "1"}, LETTER, NOT_THERE),
    ({"extra": {"role": "admin"}, "worker": "w9", "token": 99}, RUNS, {}),
    ({"function": "os.system"}, RUNS, {"rq": LETTER}),
    ({"function": "noop"}, RUNS, {"rq": LETTER}),
    ({"function": None}, RUNS, {"rq": LETTER}),
]


def changed(message: Message, change: Message) -> Message:
    return {name: value for name, value in (message | change).items() if value is not GONE}


async def test_every_field_wrong_in_every_way(lane: Lane) -> None:
    data, expected = {"n": 1}, {}
    async with wire_of(lane) as wire:
        for change, usual, elsewhere in CHANGES:
            outcome = elsewhere.get(lane.kind, usual)
            if outcome == DROPPED:
                continue
            job = await lane.accept(data=data)
            message = changed(message_of(job, data), change)
            await wire.put(str(message.get("id", job)) if lane.kind == "rq" else job, wire.fields(message))
            expected[job] = change, outcome
    await lane.worker()
    await settled(lane)
    ran = {job for job in expected if (await lane.leg(job)).state == "completed"}
    assert [change for job, (change, outcome) in expected.items() if (outcome == RUNS) != (job in ran)] == []
    letters = await lane.publisher.dead_letters(1000)
    assert len(letters) == sum(outcome == LETTER for _, outcome in expected.values()), letters
    assert all(letter["error"] for letter in letters)
    assert all(given == data for given in lane.journal.given.values())


async def test_bytes_changed_anywhere(lane: Lane) -> None:
    """Bits flipped, bytes cut, doubled and put in at random, the same ones at each run."""
    dice, data, jobs = random.Random(4), {"n": 1, "text": "ab" * 20}, []
    async with wire_of(lane) as wire:
        for _ in range(60):
            jobs.append(await lane.accept(data=data))
            await wire.put(jobs[-1], battered(wire.fields(message_of(jobs[-1], data)), dice))
    await lane.worker()
    last = await settled(lane)
    started = lane.journal.started
    assert set(started) <= {*jobs, last} and len(set(started)) == len(started)
    assert all(lane.journal.given[job] == data for job in started if job != last)
    letters = await lane.publisher.dead_letters(1000)
    assert letters and all(letter["error"] for letter in letters)


def battered(fields: Fields, dice: random.Random) -> Fields:
    name = dice.choice(sorted(fields))
    raw, at = bytearray(fields[name]), dice.randrange(len(fields[name]))
    match dice.randrange(4):
        case 0:
            raw[at] ^= 1 << dice.randrange(8)
        case 1:
            del raw[at : at + dice.randrange(1, 20)]
        case 2:
            raw[at:at] = raw[at : at + 20]
        case _:
            raw[at:at] = dice.randbytes(dice.randrange(1, 20))
    return {**fields, name: bytes(raw)}


async def settled(lane: Lane) -> str:
    """A good job behind them runs, and nothing is left in hand."""
    job = await lane.send()
    await lane.reach(job, "completed")
    await lane.idle()
    return job
