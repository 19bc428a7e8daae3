"""What one worker says of itself: /stats, and its entry under its name in Redis."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import psutil
from fastapi import APIRouter
from prometheus_client import Histogram
from starlette.requests import Request

from booking_queue.backends.base import Consumer
from booking_queue.clock import iso, now_ms
from booking_queue.ledger.script import Scripts
from booking_queue.metrics import Metrics
from worker_service.heartbeat import Heartbeat
from worker_service.processor import Processor

JOBS_SHOWN = 20
OUTCOMES = ("completed", "dead", "retried", "fenced")


class WorkerStats:
    def __init__(
        self,
        worker_id: str,
        lanes: Sequence[tuple[Consumer, Processor]],
        metrics: Metrics,
        scripts: Scripts,
        heartbeat: Heartbeat,
    ):
        self._worker_id = worker_id
        self._processors = [processor for _, processor in lanes]
        self._consumers = [consumer for consumer, _ in lanes]
        self._heartbeat = heartbeat
        self._metrics = metrics
        self._scripts = scripts
        self._process = psutil.Process()
        self._cpu_percent = self._process.cpu_percent()
        self._started = now_ms()

    def running(self) -> dict[str, int]:
        return {lane.backend.value: lane.slots.tasks - lane.slots.parked_now for lane in self._processors}

    def capacity(self) -> dict[str, int]:
        return {lane.backend.value: lane.slots.capacity for lane in self._processors}

    def beat(self) -> dict[str, Any]:
        """For each heartbeat: how busy the processor is, is measured since the last one, whoever looks in between."""
        self._cpu_percent = self._process.cpu_percent()
        return self.presence()

    def presence(self) -> dict[str, Any]:
        return {
            "startedAt": iso(self._started),
            "concurrency": self.capacity(),
            "running": self.running(),
            "parked": {lane.backend.value: lane.slots.parked_now for lane in self._processors},
        }

    def read(self) -> dict[str, Any]:
        """Counts since the start; histograms in seconds, `counts` cumulative by upper bound `buckets`."""
        outcomes = self._outcomes()
        return {
            "workerId": self._worker_id,
            **self.presence(),
            "uptimeSeconds": (now_ms() - self._started) / 1000,
            "capacity": self.capacity(),
            "processed": {backend: counts["completed"] for backend, counts in outcomes.items()},
            "failed": {backend: counts["dead"] for backend, counts in outcomes.items()},
            "outcomes": outcomes,
            "jobs": self._heartbeat.jobs(JOBS_SHOWN),
            "partitions": next(iter(self._details("partitions").values()), None),
            "rebuilds": self._details("rebuilds"),
            "writesRefused": dict(self._scripts.refused),
            "sla": self._sla(),
            "histograms": {
                "wait": histogram(self._metrics.job_wait),
                "run": histogram(self._metrics.job_run),
            },
            "memoryBytes": self._process.memory_info().rss,
            "cpuPercent": self._cpu_percent,
            "cpuSeconds": time.process_time(),
            "redis": {"operations": self._scripts.operations, "roundTrips": self._scripts.round_trips},
        }

    async def scrape(self, request: Request) -> None:
        for backend, rebuilds in self._details("rebuilds").items():
            self._metrics.consumer_rebuilds.labels(backend).set(rebuilds)
        for reason, writes in self._scripts.refused.items():
            self._metrics.writes_refused.labels(reason).set(writes)

    def _details(self, name: str) -> dict[str, Any]:
        """By backend."""
        found = {consumer.backend.value: consumer.details() for consumer in self._consumers}
        return {backend: details[name] for backend, details in found.items() if name in details}

    def _outcomes(self) -> dict[str, dict[str, int]]:
        found = {lane.backend.value: dict.fromkeys(OUTCOMES, 0) for lane in self._processors}
        for sample in next(iter(self._metrics.jobs_finished.collect())).samples:
            if sample.name.endswith("_total"):
                found[sample.labels["backend"]][sample.labels["outcome"]] = int(sample.value)
        return found

    def _sla(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = defaultdict(lambda: {"inTime": 0, "total": 0})
        for sample in next(iter(self._metrics.jobs_in_time.collect())).samples:
            if sample.name.endswith("_total"):
                counts = found[sample.labels["type"]]
                counts["total"] += int(sample.value)
                counts["inTime"] += int(sample.value) if sample.labels["in_time"] == "yes" else 0
        return dict(found)


def histogram(metric: Histogram) -> dict[str, dict[str, Any]]:
    """By backend: upper bounds in seconds (the last is infinity, as null), cumulative counts, sum and count."""
    found: dict[str, dict[str, Any]] = defaultdict(lambda: {"buckets": [], "counts": [], "sum": 0.0, "count": 0})
    for sample in next(iter(metric.collect())).samples:
        entry = found[sample.labels["backend"]]
        if sample.name.endswith("_bucket"):
            bound = sample.labels["le"]
            entry["buckets"].append(None if bound == "+Inf" else float(bound))
            entry["counts"].append(int(sample.value))
        elif sample.name.endswith("_sum"):
            entry["sum"] = sample.value
        elif sample.name.endswith("_count"):
            entry["count"] = int(sample.value)
    return dict(found)


def router(stats: WorkerStats) -> APIRouter:
    routes = APIRouter(tags=["worker"])

    @routes.get("/stats")
    async def worker_stats() -> dict[str, Any]:
        """What this worker did since it started, and what it does now."""
        return stats.read()

    return routes
