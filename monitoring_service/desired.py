"""How many workers the work at hand asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """Of one lane. `backlog`: what could start, or runs; `arrivals` a second; `run_seconds`: an attempt's mean;
    `slots`: jobs at a time, a worker."""

    backlog: int
    arrivals: float
    run_seconds: float
    slots: float


def desired_slots(load: Load, drain_seconds: float) -> float:
    """Slots that keep up with what comes and work off what waits within `drain_seconds`:

        offered = (arrivals + backlog / drain_seconds) * run_seconds        slots = offered + sqrt(offered)

    The first is Little's law, L = lambda * W: so many jobs are in work on average (J. D. C. Little, "A Proof for the
    Queuing Formula: L = lambda W", Operations Research 9(3), 1961). The root is the safety staffing for what comes in
    bursts (S. Halfin, W. Whitt, "Heavy-Traffic Limits for Queues with Many Exponential Servers", Operations Research
    29(3), 1981), with their beta = 1. `run_seconds` is measured under the present load: where workers are short of
    CPU it is longer than a job needs, and the answer errs on the high side.
    """
    offered = (load.arrivals + load.backlog / drain_seconds) * load.run_seconds
    return offered + math.sqrt(offered)


def desired_workers(load: Load, drain_seconds: float) -> int:
    """At least one: somebody must be there for the first job."""
    return max(1, math.ceil(desired_slots(load, drain_seconds) / max(1.0, load.slots)))
