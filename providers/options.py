"""Settings that only the providers have, beside those of every service."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from booking_queue.settings import Settings


class ProviderSettings(Settings):
    dedupe: Literal["on", "off"] = Field("on", description="`off`: every charge call charges, and is only counted.")
    providers_retention: int = Field(604_800, ge=172_800, description="Seconds that calls, charges and mails are kept.")
