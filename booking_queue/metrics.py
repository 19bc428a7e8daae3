"""Every Prometheus name, declared once. Never a label by job id."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

WAIT_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 30, 60, 300, 1800)  # a lease is 15 s
RUN_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """One per app, made where the app is wired, so that several apps in one process do not share numbers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._of_jobs(self.registry)
        self._of_gateway(self.registry)
        self._of_brokers(self.registry)
        self._of_alarms(self.registry)

    def _of_jobs(self, registry: CollectorRegistry) -> None:
        """One family for all backends."""
        self.jobs_enqueued = Counter(
            "jobs_enqueued", "Publishes not answered with pending, repeats among them.", ["backend"], registry=registry
        )
        self.jobs_finished = Counter(
            "jobs_finished", "Legs that ended, by outcome.", ["backend", "outcome"], registry=registry
        )
        self.job_wait = Histogram(
            "job_wait_seconds",
            "From acceptance, the due time or a redrive to the first start.",
            ["backend"],
            buckets=WAIT_BOUNDS,
            registry=registry,
        )
        self.job_run = Histogram(
            "job_run_seconds", "One attempt's run.", ["backend"], buckets=RUN_BOUNDS, registry=registry
        )
        self.jobs_in_time = Counter(
            "jobs_in_time",
            "Jobs done, by whether they were within SLA_SECONDS of acceptance or their time.",
            ["type", "in_time"],
            registry=registry,
        )
        self.jobs_in_state = Gauge("jobs_in_state", "Legs by state.", ["backend", "state"], registry=registry)
        self.queue_oldest_age = Gauge(
            "queue_oldest_age_seconds",
            "Age of the oldest leg that could start and has not.",
            ["backend"],
            registry=registry,
        )
        self.outbox_oldest_age = Gauge(
            "outbox_oldest_age_seconds",
            "How long the oldest due leg has waited to be published.",
            ["backend"],
            registry=registry,
        )

    def _of_gateway(self, registry: CollectorRegistry) -> None:
        self.outbox_legs = Gauge(
            "outbox_legs", "Legs in the outbox, the delayed among them.", ["backend"], registry=registry
        )
        self.legs_republished = Counter(
            "legs_republished", "Legs sent again that their broker seemed to have lost.", ["backend"], registry=registry
        )
        self.circuit_open = Gauge(
            "backend_circuit_open", "1 while a backend service is only probed.", ["backend"], registry=registry
        )
        self.retry_budget = Gauge(
            "publish_retry_budget", "Failed retries that may still be made.", ["backend"], registry=registry
        )
        self.bookings_compensated = Counter(
            "bookings_compensated",
            "Bookings, cancelled or all dead, whose money, if any was charged, and rooms were given back.",
            registry=registry,
        )
        self.compensations_failed = Counter(
            "compensations_failed", "Attempts at it that failed and come again.", ["what"], registry=registry
        )
        self.event_streams = Gauge("event_streams", "Clients that follow events.", registry=registry)

    def _of_brokers(self, registry: CollectorRegistry) -> None:
        """The names that each broker's own exporters use."""
        self.rq_jobs = Gauge("rq_jobs", "RQ jobs.", ["queue", "status"], registry=registry)
        self.rq_workers = Gauge("rq_workers", "RQ workers.", registry=registry)
        self.stream_length = Gauge("redis_stream_length", "Entries.", ["stream"], registry=registry)
        self.stream_lag = Gauge(
            "redis_stream_group_lag", "Entries not delivered yet.", ["stream", "group"], registry=registry
        )
        self.stream_pending = Gauge(
            "redis_stream_group_messages_pending",
            "Entries delivered and not acknowledged.",
            ["stream", "group"],
            registry=registry,
        )
        self.stream_alarms = Gauge(
            "redis_stream_alarms", "What should never happen to a stream, counted.", ["alarm"], registry=registry
        )
        self.kafka_lag = Gauge(
            "kafka_consumergroup_lag",
            "End offset less committed offset.",
            ["consumergroup", "topic", "partition"],
            registry=registry,
        )

    def _of_alarms(self, registry: CollectorRegistry) -> None:
        """What should never happen."""
        self.ledger_emptied = Counter(
            "ledger_emptied", "Times that Redis was found emptied, or another one in its place.", registry=registry
        )
        self.writes_refused = Gauge(
            "redis_writes_refused", "Writes that Redis refused, by its word for it.", ["reason"], registry=registry
        )
        self.consumer_rebuilds = Gauge(
            "consumer_rebuilds", "Consumers that stood still and were replaced.", ["backend"], registry=registry
        )
