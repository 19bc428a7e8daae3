"""RQ's own SimpleWorker on the same machine in the same run: what a lane's rate is held against."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

from redis import Redis
from rq import Queue
from rq.registry import FinishedJobRegistry

from bench.drain import PAYLOAD
from local.private_suite import ROOT, PrivateSuite

DATABASE = 1  # RQ's names for keys are fixed: beside ours, its worker would take our jobs
LOOK_SECONDS = 0.01
PATIENCE_SECONDS = 120


def noop(data: dict[str, Any]) -> None:
    """What the worker imports and calls."""


def simple_worker(suite: PrivateSuite, jobs: int) -> float:
    """Jobs a second, from the first finished one to the last."""
    url = f"redis://:{suite.redis.password}@127.0.0.1:{suite.redis.port}/{DATABASE}"
    redis = Redis.from_url(url)
    queue = Queue("peer", connection=redis)
    queue.enqueue_many([Queue.prepare_data(noop, (PAYLOAD,)) for _ in range(jobs)])
    command = [sys.executable, "-m", "rq.cli", "worker", "--burst", "--quiet"]
    command += ["--worker-class", "rq.worker.SimpleWorker", "peer"]
    worker = subprocess.Popen(  # noqa: S603 - our own words
        command, cwd=ROOT, env={**os.environ, "RQ_REDIS_URL": url}
    )
    try:
        rate = _watch(FinishedJobRegistry(queue=queue), jobs)
        worker.wait(PATIENCE_SECONDS)  # told to stop while it ends by itself, it complains
        return rate
    finally:
        worker.kill()
        worker.wait()
        redis.flushdb()
        redis.close()


def _watch(finished: FinishedJobRegistry, jobs: int) -> float:
    until = time.monotonic() + PATIENCE_SECONDS
    first: tuple[float, int] | None = None
    while time.monotonic() < until:
        done, now = finished.get_job_count(cleanup=False), time.perf_counter()
        if done and first is None:
            first = now, done
        if first and done >= jobs:
            return (jobs - first[1]) / (now - first[0])
        time.sleep(LOOK_SECONDS)
    raise TimeoutError(f"RQ's worker did not finish {jobs} jobs in {PATIENCE_SECONDS} s")
