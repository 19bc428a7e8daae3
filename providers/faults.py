"""Faults on request: refuse, dawdle, or do the work and lose the answer."""

from __future__ import annotations

import random
from dataclasses import dataclass

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

MAX_COUNT = 1_000_000
MAX_DELAY_MS = 60_000


class Fault(BaseModel):
    """`failNext` and `loseNext` count down; the rates hold until changed."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)
    fail_next: int = Field(0, ge=0, le=MAX_COUNT, strict=True)
    fail_rate: float = Field(0, ge=0, le=1, strict=True)
    delay_ms: int = Field(0, ge=0, le=MAX_DELAY_MS, strict=True)
    lose_next: int = Field(0, ge=0, le=MAX_COUNT, strict=True)
    lose_rate: float = Field(0, ge=0, le=1, strict=True)


class FaultSettings(BaseModel):
    """What is left out is set back to no fault."""

    model_config = ConfigDict(extra="forbid")
    payment: Fault = Fault()
    mail: Fault = Fault()


@dataclass(frozen=True)
class Fate:
    """What happens to one call."""

    fail: bool
    lose: bool
    delay: float


class Faults:
    def __init__(self) -> None:
        self.settings = FaultSettings()

    def payment(self) -> Fate:
        return _draw(self.settings.payment)

    def mail(self) -> Fate:
        return _draw(self.settings.mail)


def _draw(fault: Fault) -> Fate:
    fail = fault.fail_next > 0 or random.random() < fault.fail_rate
    lose = not fail and (fault.lose_next > 0 or random.random() < fault.lose_rate)
    if fail and fault.fail_next:
        fault.fail_next -= 1
    if lose and fault.lose_next:
        fault.lose_next -= 1
    return Fate(fail, lose, fault.delay_ms / 1000)


router = APIRouter(prefix="/faults", tags=["faults"])


@router.get("")
async def get_faults(request: Request) -> FaultSettings:
    """The faults that are on."""
    return _faults(request).settings


@router.put("")
async def put_faults(request: Request, settings: FaultSettings) -> FaultSettings:
    """Turns faults on; what is left out is turned off."""
    _faults(request).settings = settings
    return settings


@router.delete("")
async def delete_faults(request: Request) -> FaultSettings:
    """Turns all faults off."""
    _faults(request).settings = FaultSettings()
    return _faults(request).settings


def _faults(request: Request) -> Faults:
    faults: Faults = request.state.faults
    return faults
