"""Kafka crashes, stops and stays away, as a process and as a container."""

from __future__ import annotations

import asyncio

from tests.faults.breaks import crash
from tests.faults.conftest import FULL, size
from tests.faults.lab import Lab, Trial
from tests.faults.load import bookings
from tests.faults.reruns import percentile
from tests.faults.results import Results

ANSWER_P99_SECONDS = 2


async def test_kafka_crashes(shared_lab: Lab, results: Results) -> None:
    """No request fails or waits; the other backends know nothing of it."""
    lab, outage = shared_lab, size(20, 120)
    await lab.started()

    async def crashes(sent: asyncio.Event) -> None:
        for kill in [True] * size(1, 5) + [False] * size(1, 5):
            await asyncio.sleep(2)
            await crash(lab, lab.suite.kafka, kill=kill)
        await crash(lab, lab.suite.kafka, kill=False, away=outage)

    trial, count = Trial(lab, "kafka"), size(200, 5000)
    verdict = await trial.run(bookings("kafka", count), crashes, per_second=60 if FULL else 20)
    p99 = percentile([attempt.seconds for attempt in trial.history.attempts], 0.99)
    notes = f"away for {outage} s in the end; answers' p99 {p99:.2f} s"
    results.add("T3 Kafka: kill -9 and SIGTERM in turn, then an outage", verdict, notes)
    assert p99 <= ANSWER_P99_SECONDS
    assert all(lane.refused + lane.unknown == 0 for lane in verdict.lanes.values())
