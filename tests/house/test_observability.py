"""Prometheus' rules and Grafana's dashboard ask for metrics that there are."""

from __future__ import annotations

import json
import re

from monitoring_service.remedies import REMEDIES
from tests.house.tree import complain, read

ROW = re.compile(r"^\| `([a-z_]+)` \|", re.MULTILINE)
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
GROUPING = re.compile(r"\b(?:by|on|without|ignoring) *\([^)]*\)")
LABELS = re.compile(r"\{[^}]*\}")
WINDOW = re.compile(r"\[[^\]]*\]")
WORDS = {"or", "sum", "max", "rate", "increase", "histogram_quantile", "max_over_time", "min_over_time"}
PROMETHEUS_OWN = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total", "ALERTS"}
OF_ALARM = re.compile(r'alarm_active\{[^}]*alarm=~?"([a-z_|]+)"')
OF_WHAT_IT_SEES = {  # alarms for which there is an alert that needs no monitoring service, or tells more
    "source_stale": "SourceStale",
    "no_worker": "NoWorker",
    "ledger_emptied": "LedgerEmptied",
    "outbox_late": "OutboxLate",
    "redis_refuses_writes": "RedisRefusesWrites",
    "stream_entries_deleted": "StreamMeddledWith",
    "stream_group_destroyed": "StreamMeddledWith",
    "job_kills_workers": "JobKillsWorkers",
    "consumer_stood_still": "ConsumerStoodStill",
}
EXPRESSION = re.compile(r"^ +expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)", re.MULTILINE)
RULES = "deploy/prometheus/rules.yml"
DASHBOARD = "deploy/grafana/booking-queue.json"


def expressions() -> list[str]:
    return [block or line for block, line in EXPRESSION.findall(read(RULES))]


def asked_for(expression: str) -> set[str]:
    for pattern in (STRING, LABELS, WINDOW, GROUPING):
        expression = pattern.sub(" ", expression)
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in NAME.findall(expression)}
    return names - WORDS - PROMETHEUS_OWN


def known() -> set[str]:
    return set(ROW.findall(read("docs/metrics.md"))) | set(re.findall(r"- record: (\S+)", read(RULES)))


def test_the_rules_ask_for_what_there_is() -> None:
    assert len(expressions()) == read(RULES).count("expr:")
    found = [f"{RULES}: {name}" for text in expressions() for name in asked_for(text) if name not in known()]
    complain("metrics that docs/metrics.md does not list:", found)


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    alerts = read(RULES).split("- alert: ")[1:]
    assert len(alerts) >= 10
    lacking = [text.split()[0] for text in alerts if "summary: " not in text or "description: " not in text]
    complain("alerts without a summary or a description:", lacking)


def test_every_alarm_has_an_alert() -> None:
    alerts = set(re.findall(r"- alert: (\S+)", read(RULES)))
    asked = {name for text in expressions() for names in OF_ALARM.findall(text) for name in names.split("|")}
    covered = asked | {alarm for alarm, alert in OF_WHAT_IT_SEES.items() if alert in alerts}
    complain("alarms that Prometheus is silent about:", sorted(set(REMEDIES) - covered))
    complain("alerts for alarms that there are not:", sorted(covered - set(REMEDIES)))


def test_the_dashboard_asks_for_what_there_is() -> None:
    panels = json.loads(read(DASHBOARD))["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    assert len(asked) >= 20
    found = [f"{DASHBOARD}: {name}" for text in asked for name in asked_for(text) if name not in known()]
    complain("metrics that docs/metrics.md does not list:", found)
