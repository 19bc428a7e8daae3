"""The board in Prometheus' words. One scrape of this service tells of all lanes and all workers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from prometheus_client import Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from booking_queue.domain.job import Backend, Priority
from booking_queue.metrics import Metrics
from monitoring_service.answers import AlarmAnswer
from monitoring_service.board import Board
from monitoring_service.ledger_reader import LedgerNumbers
from monitoring_service.sources import RqLevel
from monitoring_service.totals import Histogram, share
from monitoring_service.workforce import desired_count

Known = TypeVar("Known")

OUTCOMES = {"completed": "completed", "dead": "dead", "retried": "retried", "cancelled": "cancelled"}


class Gauges:
    """Declared on the service's own registry, brought up to date before each scrape."""

    def __init__(self, metrics: Metrics):
        registry = metrics.registry
        for counted in (metrics.jobs_enqueued, metrics.jobs_finished, metrics.job_wait, metrics.job_run):
            registry.unregister(counted)  # of these the board has the sums over all workers, below
        registry.unregister(metrics.jobs_in_time)
        self.metrics = metrics
        self.source_up = Gauge("source_up", "Whether a source answers.", ["source"], registry=registry)
        self.source_age = Gauge("source_age_seconds", "Since a source last answered.", ["source"], registry=registry)
        self.workers = Gauge("workers_alive", "Workers with a heartbeat.", registry=registry)
        self.slots = Gauge("worker_slots", "Jobs that may run at a time.", ["backend"], registry=registry)
        self.slots_used = Gauge("worker_slots_used", "Jobs that run.", ["backend"], registry=registry)
        self.sla = Gauge(
            "sla_in_time_share", "Of the jobs done lately, those within SLA_SECONDS.", ["type"], registry=registry
        )
        self.redis_ops = Gauge("redis_ops_per_second", "Commands a second.", registry=registry)
        self.redis_memory = Gauge("redis_memory_used_bytes", "Memory in use.", registry=registry)
        self.redis_latency = Gauge("redis_ping_seconds", "Time of a PING.", registry=registry)
        self.alarms = Gauge("alarms_raised", "Things to look at now.", registry=registry)
        self.alarm = Gauge("alarm_active", "The same, by kind.", ["alarm", "about"], registry=registry)
        self.desired = Gauge("workers_desired", "Workers that the work asks for.", registry=registry)
        self.refusing = Gauge("redis_refuses_writes", "1 while Redis takes no writes.", registry=registry)

    def update(self, board: Board, alarms: list[AlarmAnswer]) -> None:
        """What is not known now is not told: a gauge keeps what it was set to, and would pass for live."""
        self.alarms.set(len(alarms))
        self.alarm.clear()
        for alarm in alarms:
            self.alarm.labels(alarm["alarm"], alarm["about"]).set(1)
        for source in board.sources:
            self.source_up.labels(source.name).set(not source.stale)
            if source.age is not None:
                self.source_age.labels(source.name).set(source.age)
        self._lanes(board)
        self._workers(board)
        self._ledger(board)

    def _lanes(self, board: Board) -> None:
        metrics = self.metrics
        _clear(metrics.queue_oldest_age, metrics.rq_jobs, metrics.stream_alarms, metrics.kafka_lag)
        _clear(metrics.stream_length, metrics.stream_lag, metrics.stream_pending)
        for backend in Backend:
            if board.heard(backend) and (age := board.oldest_age(backend)) is not None:
                metrics.queue_oldest_age.labels(backend).set(age)
        metrics.rq_workers.set(_of(board.rq.fresh_value, lambda rq: rq.workers))
        if rq := board.rq.fresh_value:
            for level, counts in rq.levels.items():
                for status in RqLevel.model_fields:
                    queue = rq.queue + Priority.parse(level).suffix
                    metrics.rq_jobs.labels(queue, status).set(getattr(counts, status))
        if streams := board.streams.fresh_value:
            for at in streams.levels.values():
                metrics.stream_length.labels(at.stream).set(at.total_messages)
                metrics.stream_lag.labels(at.stream, streams.group).set(at.lag)
                metrics.stream_pending.labels(at.stream, streams.group).set(at.pending_messages)
            for alarm, count in streams.alarms.items():
                metrics.stream_alarms.labels(alarm).set(count)
        if kafka := board.kafka.fresh_value:
            for place in kafka.offsets:
                metrics.kafka_lag.labels(kafka.group, place.topic, str(place.partition)).set(place.lag)

    def _workers(self, board: Board) -> None:
        workers = board.workers.fresh_value
        _clear(self.slots, self.slots_used)
        self.workers.set(_of(workers, lambda found: len(found.alive)))
        self.desired.set(_of(desired_count(board) if workers else None, float))
        if workers:
            for backend in Backend:
                self.slots.labels(backend).set(workers.capacity(backend))
                self.slots_used.labels(backend).set(workers.running(backend))
        self.sla.clear()
        for kind, (in_time, total) in board.history.in_time().items():
            self.sla.labels(kind).set(share(in_time, total) or 0)

    def _ledger(self, board: Board) -> None:
        ledger = board.ledger.fresh_value
        _clear(self.metrics.outbox_legs, self.metrics.outbox_oldest_age, self.metrics.jobs_in_state)
        self.refusing.set(_of(ledger, lambda found: bool(found.redis.refuses)))
        self.redis_ops.set(_of(ledger, lambda found: found.redis.ops_per_second))
        self.redis_memory.set(_of(ledger, lambda found: found.redis.memory_bytes))
        self.redis_latency.set(_of(ledger, lambda found: found.redis.latency_ms / 1000))
        if ledger is None:
            return
        for backend in Backend:
            self.metrics.outbox_legs.labels(backend).set(ledger.backlog[backend].outbox)
            self.metrics.outbox_oldest_age.labels(backend).set(ledger.backlog[backend].outbox_oldest_age)
            for state, legs in _states(board, ledger, backend).items():
                self.metrics.jobs_in_state.labels(backend, state).set(legs)


def _clear(*gauges: Gauge) -> None:
    for gauge in gauges:
        gauge.clear()


def _of(known: Known | None, figure: Callable[[Known], float]) -> float:
    """Of a gauge without labels; there is no taking those back."""
    return math.nan if known is None else figure(known)


def _states(board: Board, ledger: LedgerNumbers, backend: Backend) -> dict[str, int]:
    """Those that ended are counted since the ledger began; what runs is the workers' to tell."""
    workers, waiting = board.workers.fresh_value, board.waiting(backend)
    states = {name: ledger.counters[backend][name] for name in ("completed", "dead", "cancelled")}
    states["pending"] = ledger.backlog[backend].outbox
    if workers:
        states["active"] = workers.running(backend)
    if waiting is not None:
        states["waiting"] = waiting
    return states


class Sums(Collector):
    """Counters from the ledger, histograms over all workers: numbers that only grow."""

    def __init__(self, board: Board):
        self._board = board

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        ledger, work = self._board.ledger.value, self._board.totals.watched
        accepted = CounterMetricFamily("jobs_accepted", "Legs accepted into the ledger.", labels=["backend"])
        finished = CounterMetricFamily("jobs_finished", "Legs that ended, by outcome.", labels=["backend", "outcome"])
        crashed = CounterMetricFamily("jobs_crashed", "Starts without an outcome.", labels=["backend"])
        killers = CounterMetricFamily("jobs_killing_workers", "Legs dead for it.", labels=["backend"])
        for backend, counts in (ledger.counters if ledger else {}).items():
            crashed.add_metric([backend], counts["crashed"])
            killers.add_metric([backend], counts["killers"])
            accepted.add_metric([backend], counts["accepted"])
            for outcome, name in OUTCOMES.items():
                finished.add_metric([backend, outcome], counts[name])
        yield accepted
        yield finished
        yield crashed
        yield killers
        yield _family("job_wait_seconds", "From acceptance, the due time or a redrive to the first start.", work.wait)
        yield _family("job_run_seconds", "One attempt's run.", work.run)


def _family(name: str, about: str, lanes: Mapping[Backend, Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, about, labels=["backend"])
    for backend, seen in lanes.items():
        bounds = ["+Inf" if bound == float("inf") else repr(bound) for bound in seen.bounds]
        family.add_metric([backend], list(zip(bounds, seen.counts, strict=True)), seen.sum)
    return family
