"""Every metric is documented, and every documented metric is real."""

from __future__ import annotations

import re

from booking_queue.metrics import Metrics
from booking_queue.settings import Settings
from monitoring_service.app import build
from tests.house.tree import complain, read

ROW = re.compile(r"^\| `([a-z_]+)` \|", re.MULTILINE)
SUMS = {
    "jobs_accepted_total",
    "jobs_crashed_total",
    "jobs_killing_workers_total",
}  # collected from the ledger at each scrape, declared nowhere


def real() -> set[str]:
    registries = (Metrics().registry, build(Settings()).state.metrics.registry)
    names = set(SUMS)
    for registry in registries:
        for metric in registry.collect():
            if not metric.name.startswith(("process_", "python_")):
                names.add(metric.name + ("_total" if metric.type == "counter" else ""))
    return names


def test_every_metric_is_documented_and_every_documented_one_is_real() -> None:
    documented, known = set(ROW.findall(read("docs/metrics.md"))), real()
    complain("metrics that docs/metrics.md does not list:", [name for name in known if name not in documented])
    complain("docs/metrics.md lists what no service tells:", [name for name in documented if name not in known])
