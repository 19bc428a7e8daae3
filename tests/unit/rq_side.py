"""RQ's own library beside a lane: what it sees of our work, and what it does on its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import redis
from rq import Queue
from rq.job import Job

from booking_queue.settings import Settings
from tests.contract.lanes import Lane, lane_of

ROOT = Path(__file__).resolve().parents[2]
FUNCTION = "worker_service.rq_job.perform"


class RqSide:
    def __init__(self, settings: Settings):
        self.settings = settings
        self.redis = redis.Redis(
            host=settings.redis_host,
            port=settings.redis_port,
            username=settings.redis_username,
            password=settings.redis_password,
        )

    @property
    def url(self) -> str:
        login = f":{self.settings.redis_password}@" if self.settings.redis_password else ""
        return f"redis://{login}{self.settings.redis_host}:{self.settings.redis_port}/0"

    def name(self, suffix: str = "") -> str:
        return f"{self.settings.name_prefix}booking-queue{suffix}"

    def queue(self, suffix: str = "", serializer: str = "json") -> Queue:
        return Queue(self.name(suffix), connection=self.redis, serializer=serializer)

    def job(self, job_id: str) -> Job:
        return Job.fetch(job_id, connection=self.redis, serializer="json")

    def record(self, job_id: str) -> dict[bytes, bytes]:
        return cast("dict[bytes, bytes]", self.redis.hgetall(f"rq:job:{job_id}"))

    def ttl(self, job_id: str) -> int:
        return int(self.redis.ttl(f"rq:job:{job_id}"))

    def cli(self, *args: str, **env: str) -> str:
        """`rq …` in a process of its own, where our code can be imported."""
        command = [sys.executable, "-m", "rq.cli", *args, "-u", self.url]
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=kept | {"PYTHONPATH": str(ROOT), **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def side_of(settings: Settings) -> Iterator[RqSide]:
    side = RqSide(settings)
    try:
        yield side
    finally:
        side.redis.close()


@dataclass
class Both:
    lane: Lane
    rq: RqSide

    async def hget(self, job_id: str, field: str) -> Any:
        return await self.lane.redis.hget(f"{self.lane.settings.key_prefix}:job:{job_id}", field)


@asynccontextmanager
async def both_of(settings: Settings) -> AsyncIterator[Both]:
    async with lane_of("rq", settings) as lane:
        with side_of(settings) as side:
            yield Both(lane, side)
