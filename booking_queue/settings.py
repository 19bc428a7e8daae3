"""Every setting of every service, read once from the environment (and from files named `<NAME>_FILE`)."""

from __future__ import annotations

import math
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from booking_queue.domain.job import Backend

PLACES = re.compile(r"[^\s,:]+:\d{1,5}(\s*,\s*[^\s,:]+:\d{1,5})*")


class SecretUnreadable(Exception):
    """The file that `<NAME>_FILE` names cannot be read."""


class _SecretFiles(PydanticBaseSettingsSource):
    """`REDIS_PASSWORD_FILE=/run/secrets/redis` gives REDIS_PASSWORD, so that no secret stands in the environment."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{field_name.upper()}_FILE")
        try:
            return (Path(path).read_text().strip() if path else None), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise SecretUnreadable(f"{field_name.upper()}_FILE={path!r} cannot be read: {why}") from error

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class Rate(BaseModel):
    """At most `max` starts in any `durationMs`."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)
    max: int = Field(ge=1, le=100_000, strict=True)
    duration_ms: int = Field(ge=1, le=86_400_000, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _an_object(cls, value: object) -> object:
        if isinstance(value, dict | Rate):
            return value
        raise ValueError('must be like {"max": 5, "durationMs": 1000}')


class LimitSetting(BaseModel):
    """Over all workers. `concurrency`: jobs at a time. What is not named is not limited."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)
    concurrency: int | None = Field(None, ge=1, le=1_000_000, strict=True)
    rate: Rate | None = None


class Settings(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, allow_inf_nan=False)

    # Where this service listens
    port: int = Field(0, ge=0, le=65_535, description="Port to listen on; 0 takes the service's own default.")
    bind_host: str = Field("127.0.0.1", description="Address to listen on.")
    trusted_network: bool = Field(
        False, description="The wide bind is reachable only from a private network (Compose sets it)."
    )
    auth: Literal["open", "required"] = Field(
        "open", description="`required` asks for a key on every route but /livez, /readyz and /api/session."
    )
    api_key: str = Field("", description="The operator's key, 16 characters at least: it may do all, and make others.")

    # Redis: the ledger, RQ and the streams
    redis_host: str = Field("127.0.0.1", description="Redis host.")
    redis_port: int = Field(6379, ge=1, le=65_535, description="Redis port.")
    redis_username: str | None = Field(None, description="Redis ACL user.")
    redis_password: str | None = Field(None, description="Redis password.")
    redis_sentinels: str = Field("", description="host:port,host:port of the sentinels, instead of REDIS_HOST.")
    redis_master: str = Field("mymaster", description="The name the sentinels know the primary by.")
    redis_tls: Literal["off", "on"] = Field("off", description="`on`: TLS to Redis; its certificate is verified.")
    redis_ca_file: Path | None = Field(None, description="Who signs Redis' certificate, PEM; else the system's own.")
    kafka_broker: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, comma separated.")
    kafka_tls: Literal["off", "on"] = Field("off", description="`on`: TLS to Kafka; its certificate is verified.")
    kafka_ca_file: Path | None = Field(None, description="Who signs Kafka's certificate, PEM; else the system's own.")
    kafka_username: str = Field("", description="Kafka user, for KAFKA_SASL.")
    kafka_password: str = Field("", description="Kafka password, for KAFKA_SASL.")
    kafka_sasl: Literal["off", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "off", description="`SCRAM-SHA-256` or `SCRAM-SHA-512` logs in to Kafka."
    )

    # Where the others are
    api_url: str = Field("http://127.0.0.1:3000", description="The gateway.")
    queue_service_url: str = Field("http://127.0.0.1:3001", description="The RQ service.")
    stream_service_url: str = Field("http://127.0.0.1:3002", description="The Redis Streams service.")
    kafka_service_url: str = Field("http://127.0.0.1:3003", description="The Kafka service.")
    monitoring_url: str = Field("http://127.0.0.1:3004", description="The monitoring service.")
    frontend_url: str = Field("http://127.0.0.1:5173", description="The pages.")
    frontend_probe_url: str = Field("", description="Where services reach the pages, if not at FRONTEND_URL.")
    providers_url: str = Field("http://127.0.0.1:8025", description="The simulated payment provider and inbox.")
    smtp_host: str = Field("127.0.0.1", description="Mail server.")
    smtp_port: int = Field(1025, ge=1, le=65_535, description="Mail server's port.")
    mail_from: str = Field("bookings@booking-queue.example", description="Sender of the mails.")
    documents_dir: Path = Field(Path(".local/documents"), description="Where the PDFs are kept.")
    providers_db: Path = Field(Path(".local/providers.sqlite3"), description="The providers' own database.")

    history_file: Path | None = Field(
        Path(".local/history"), description="Where monitoring keeps its last day; `-` keeps it in memory alone."
    )

    # Worker
    worker_id: str = Field("", description="Name of this worker; default the host's name, with a slot if shared.")
    worker_count: int = Field(2, ge=0, description="Replicas of the worker that the deployment starts.")
    worker_backends: str = Field("rq,redisStreams,kafka", description="Backends that this worker consumes.")
    concurrency_rq: int = Field(32, ge=1, le=1000, description="Jobs at a time from RQ, per worker.")
    concurrency_streams: int = Field(32, ge=1, le=1000, description="Jobs at a time from the streams, per worker.")
    concurrency_kafka: int = Field(32, ge=1, le=1000, description="Jobs at a time from Kafka, per worker.")
    lease_seconds: float = Field(15, gt=0, description="How long a claim holds without a heartbeat.")
    heartbeat_seconds: float = Field(5, gt=0, description="How often a running job's lease is renewed.")
    shutdown_seconds: float = Field(20, ge=0, description="How long a stopping worker lets running jobs finish.")

    # Ledger
    key_prefix: str = Field("bq", description="Prefix of the ledger's keys.")
    name_prefix: str = Field("", description="Prefix of the queue's, streams', topics' and groups' names.")
    ledger_retention: int = Field(
        172_800,
        ge=60,
        description="Seconds a finished job's record is kept. If less than a day, a large batch that is sent again "
        "later with its `Idempotency-Key` is answered 409.",
    )
    stream_keep: int = Field(10_000, ge=0, description="Finished entries a stream keeps, for looking at.")
    publish_deadline: float = Field(1.5, gt=0, description="Seconds the gateway waits for a backend service.")

    # Limits over all workers; what is set by PUT /api/limits goes before these
    max_outstanding: int = Field(
        1_000_000, ge=1, description="Jobs without an outcome that a backend may have; one more is answered 503."
    )
    tenant_outstanding: int = Field(
        100_000, ge=1, description="Jobs without an outcome that a tenant may have; one more is answered 429."
    )
    limits: dict[str, LimitSetting] = Field(
        {},
        description='JSON by backend or `type:` and a job type: `{"rq": {"concurrency": 10}, '
        '"type:booking": {"rate": {"max": 100, "durationMs": 1000}}}`.',
    )

    # Simulation
    simulation: Literal["on", "off"] = Field(
        "on", description="Whether bookings may carry `simulate`; those of a tenant's key never may."
    )
    simulated_time_scale: float = Field(0.02, ge=0, description="1 runs the steps at 2, 3, 5, 1 and 1 s.")
    simulated_failure_rate: float = Field(0, ge=0, le=1, description="Share of steps that fail at random.")
    inventory_default_rooms: int = Field(1000, ge=0, description="Rooms of a kind that a hotel has a night.")
    hold_seconds: int = Field(900, ge=30, description="How long a room is held for a booking that stands still.")
    sla_seconds: float = Field(
        60, gt=0, description="A job is in time when it is done this soon after acceptance, or after its time."
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", description="Level of the JSON logs."
    )

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("history_file", mode="before")
    @classmethod
    def _in_memory(cls, value: object) -> object:
        return None if value == "-" else value

    @field_validator("api_key")
    @classmethod
    def _hard_to_guess(cls, value: str, info: ValidationInfo) -> str:
        if 0 < len(value) < 16 and info.data.get("auth") == "required":
            raise ValueError("it must have at least 16 characters")
        return value

    @field_validator("redis_ca_file", "kafka_ca_file")
    @classmethod
    def _certificates(cls, value: Path | None) -> Path | None:
        if value and not value.is_file():
            raise ValueError("it must be a file of certificates, as PEM")
        return value

    @field_validator("kafka_sasl")
    @classmethod
    def _login(cls, value: str, info: ValidationInfo) -> str:
        if value != "off" and not (info.data.get("kafka_username") and info.data.get("kafka_password")):
            raise ValueError("it needs KAFKA_USERNAME and KAFKA_PASSWORD")
        return value

    @field_validator("worker_backends")
    @classmethod
    def _known_backends(cls, value: str) -> str:
        names = [name.strip() for name in value.split(",") if name.strip()]
        if not names or len(set(names)) < len(names) or not set(names) <= set(Backend):
            raise ValueError(f"it must be some of {','.join(Backend)}")
        return value

    @field_validator("heartbeat_seconds")
    @classmethod
    def _heard_in_time(cls, value: float, info: ValidationInfo) -> float:
        if value > info.data.get("lease_seconds", math.inf) / 3:
            raise ValueError("it must be at most a third of LEASE_SECONDS")
        return value

    @field_validator("redis_sentinels")
    @classmethod
    def _places(cls, value: str) -> str:
        if value and not PLACES.fullmatch(value.strip()):
            raise ValueError("it must be host:port, or several of them with commas between")
        return value

    @field_validator("*")
    @classmethod
    def _address(cls, value: object, info: ValidationInfo) -> object:
        named_so = str(info.field_name).endswith("_url")
        if named_so and value and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", str(value)):
            raise ValueError("it must be an address like http://127.0.0.1:3000")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _SecretFiles(settings_cls), env_settings

    @cached_property
    def backends(self) -> list[Backend]:
        return [Backend(name.strip()) for name in self.worker_backends.split(",") if name.strip()]

    def concurrency(self, backend: Backend) -> int:
        return {
            Backend.RQ: self.concurrency_rq,
            Backend.STREAMS: self.concurrency_streams,
            Backend.KAFKA: self.concurrency_kafka,
        }[backend]
