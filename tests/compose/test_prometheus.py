"""Prometheus itself reads its configuration and its rules, and the alerts fire when they should."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.broker_containers import at_hand
from tests.brokers import missing

ROOT = Path(__file__).resolve().parents[2]
IMAGE = os.environ.get("PROMETHEUS_IMAGE") or "prom/prometheus:v2.53.3"
SERIES = """
rule_files: [/etc/prometheus/rules.yml]
evaluation_interval: 10s
tests:
  - interval: 10s
    input_series:
      - { series: 'workers_alive{job="monitoring", instance="m"}', values: "1x5 0x20" }
      - { series: 'ledger_emptied_total{job="services", instance="queue"}', values: "0x5 1x20" }
      - { series: 'redis_refuses_writes{job="monitoring", instance="m"}', values: "0x5 1x20" }
      - { series: 'jobs_killing_workers_total{job="monitoring", instance="m", backend="rq"}', values: "0x5 1x20" }
      - { series: 'consumer_rebuilds{job="worker", instance="w", backend="kafka"}', values: "0x5 1x20" }
      - { series: 'consumer_rebuilds{job="worker", instance="anew", backend="kafka"}', values: "3x5 0x20" }
      - { series: 'redis_stream_alarms{job="monitoring", instance="m", alarm="groupsRecreated"}', values: "3x5 0x20" }
      - { series: 'alarm_active{job="monitoring", alarm="redis_memory", about="ledger"}', values: "_x5 1x20" }
      - { series: 'alarm_active{job="monitoring", alarm="redis_forgets", about="ledger"}', values: "_x5 1x20" }
      - { series: 'alarm_active{job="monitoring", alarm="redis_refused", about="rq"}', values: "_x5 1x20" }
      - { series: 'alarm_active{job="monitoring", alarm="worker_silent", about="w"}', values: "_x5 1x20" }
      - { series: 'jobs_in_time_total{job="worker", instance="w", type="report", in_time="no"}', values: "0+5x60" }
      - { series: 'jobs_in_time_total{job="worker", instance="w", type="booking", in_time="yes"}', values: "0+5x30" }
      - { series: 'jobs_in_time_total{job="worker", instance="w", type="booking", in_time="no"}', values: "0+5x30" }
    promql_expr_test:
      - expr: type:jobs_in_time:ratio5m
        eval_time: 4m
        exp_samples:
          - { labels: 'type:jobs_in_time:ratio5m{type="booking"}', value: 0.5 }
          - { labels: 'type:jobs_in_time:ratio5m{type="report"}', value: 0 }
      - expr: count by (type) (ALERTS{alertname="JobsAreLate", alertstate="firing"})
        eval_time: 9m
        exp_samples: [{ labels: '{type="booking"}', value: 1 }, { labels: '{type="report"}', value: 1 }]
      - expr: count by (alertname) (ALERTS{alertstate="firing"})
        eval_time: 30s
        exp_samples: []
      - expr: count by (alertname) (ALERTS{alertstate="firing"})
        eval_time: 2m
        exp_samples:
          - { labels: '{alertname="NoWorker"}', value: 1 }
          - { labels: '{alertname="LedgerEmptied"}', value: 1 }
          - { labels: '{alertname="RedisRefusesWrites"}', value: 1 }
          - { labels: '{alertname="JobKillsWorkers"}', value: 1 }
          - { labels: '{alertname="ConsumerStoodStill"}', value: 1 }
          - { labels: '{alertname="RedisNearlyFull"}', value: 1 }
          - { labels: '{alertname="RedisMayLoseJobs"}', value: 1 }
          - { labels: '{alertname="RedisRefusedWrites"}', value: 1 }
          - { labels: '{alertname="WorkerGone"}', value: 1 }
"""


@pytest.fixture
def promtool(tmp_path: Path) -> list[str]:
    if not shutil.which("docker") or not at_hand(IMAGE):
        missing(f"there is no Docker, or no image {IMAGE}")
    tmp_path.chmod(0o755)
    (tmp_path / "api_key").write_text("any")
    (tmp_path / "tests.yml").write_text(SERIES)
    mounts = [f"{ROOT}/deploy/prometheus:/etc/prometheus:ro", f"{tmp_path}:/run/booking-queue:ro"]
    volumes = [word for mount in mounts for word in ("--volume", mount)]
    return ["docker", "run", "--rm", "--network", "none", *volumes, "--entrypoint", "promtool", IMAGE]


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_reads_them(promtool: list[str]) -> None:
    assert "rules found" in run([*promtool, "check", "config", "/etc/prometheus/prometheus.yml"])
    assert "SUCCESS" in run([*promtool, "check", "rules", "/etc/prometheus/rules.yml"])


def test_the_alerts_fire(promtool: list[str]) -> None:
    run([*promtool, "test", "rules", "/run/booking-queue/tests.yml"])
