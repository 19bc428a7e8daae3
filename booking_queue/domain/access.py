"""Who asks, and what they may."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

TENANT_PATTERN = r"[a-z0-9][a-z0-9-]{0,49}"
NO_TENANT_SIMULATES = "is refused to a tenant's key, for it may kill workers: leave it out, or use an operator's key"


class Scope(StrEnum):
    BOOKINGS_READ = "bookings:read"
    BOOKINGS_WRITE = "bookings:write"
    OPS_READ = "ops:read"
    OPS_WRITE = "ops:write"


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, without what is secret of it. One that is no tenant's sees what everybody's is."""

    id: str
    name: str
    tenant: str
    scopes: frozenset[Scope]
    created: int = 0  # ms

    def sees(self, tenant: str) -> bool:
        return self.tenant in ("", tenant)


OPERATOR = Key("", "API_KEY", "", frozenset(Scope))
