"""How every client of ours gets into Kafka: where it is, whether by TLS, and as whom."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path
from typing import Any

from booking_queue.settings import Settings


def access(settings: Settings) -> dict[str, Any]:
    """For the constructors of aiokafka's clients."""
    secure, login = settings.kafka_tls == "on", settings.kafka_sasl != "off"
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_broker,
        "security_protocol": ("SASL_" if login else "") + ("SSL" if secure else "PLAINTEXT"),
    }
    if secure:
        options["ssl_context"] = _verifying(settings.kafka_ca_file)
    if login:
        options |= {
            "sasl_mechanism": settings.kafka_sasl,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password,
        }
    return options


@functools.cache
def _verifying(authorities: Path | None) -> ssl.SSLContext:
    """The certificate and the name in it are verified. Reading the authorities takes time: once a process."""
    return ssl.create_default_context(cafile=authorities)
