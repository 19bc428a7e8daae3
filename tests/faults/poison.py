"""Puts what nobody should have written straight into the brokers, past every check of ours."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from aiokafka import AIOKafkaProducer

from booking_queue.backends.kafka.topics import Topics
from booking_queue.settings import Settings
from tests.faults.history import Poison
from tests.faults.observe import Observer
from tests.faults.processes import ProcessLab

MIB = 1024 * 1024
SERVICES = {"rq": "queue_service", "redisStreams": "stream_service", "kafka": "kafka_service"}


@dataclass(frozen=True)
class Dose:
    """`mark` is how its dead letter will be known."""

    mark: str
    backend: str
    kind: str

    @property
    def data(self) -> bytes:
        """What stands where a job's data should."""
        match self.kind:
            case "bytes":
                return b"\xff\xfe" + self.mark.encode() + b"\xff" + os.urandom(40)  # no digit after the mark
            case "pickle":
                return b"\x80\x04\x95" + self.mark.encode() + b"\x94."
            case "schema":
                return orjson.dumps({"mark": self.mark, "guests": "many"})
            case _:
                return orjson.dumps({"mark": self.mark, "padding": "x" * self._padding})

    @property
    def _padding(self) -> int:
        """A broker of Kafka's takes just under 1 MiB."""
        return MIB - 2048 if self.backend == "kafka" else MIB


def doses(name: str, count: int) -> Iterator[Dose]:
    """`count` to each backend, of every kind in turn."""
    kinds = itertools.cycle(("bytes", "pickle", "schema", "1MiB"))
    for n, kind in zip(range(count), kinds, strict=False):
        for backend in SERVICES:
            yield Dose(f"{name}-{backend}-{kind}-{n}", backend, kind)


class Poisoner:
    """The brokers' own clients, as a stranger would use them."""

    def __init__(self, lab: ProcessLab, observer: Observer):
        self._lab = lab
        self._redis = observer.redis
        self._topic = Topics(Settings()).main
        self._producer: Any = None

    async def give(self, dose: Dose) -> None:
        match dose.backend:
            case "rq":
                await self._redis.hset(f"rq:job:{dose.mark}", mapping={"data": self._call(dose), "status": "queued"})
                await self._redis.rpush("rq:queue:booking-queue", dose.mark)
            case "redisStreams":
                fields = {"messageId": dose.mark, "type": "booking", "data": dose.data, "generation": 1, "attempt": 1}
                await self._redis.xadd("booking-stream", fields if dose.kind != "bytes" else {"mark": dose.data})
            case _:
                producer = await self._started()
                await producer.send_and_wait(self._topic, dose.data, key=dose.mark.encode())

    @staticmethod
    def _call(dose: Dose) -> bytes:
        if dose.kind in ("bytes", "pickle"):
            return dose.data
        return b'["worker_service.rq_job.perform",null,["booking",' + dose.data + b"],{}]"

    async def _started(self) -> Any:
        if self._producer is None:
            self._producer = AIOKafkaProducer(bootstrap_servers=self._lab.suite.env["KAFKA_BROKER"])
            await self._producer.start()
        return self._producer

    async def close(self) -> None:
        if self._producer:
            await self._producer.stop()


async def found(lab: ProcessLab, given: list[Dose], patience: float) -> list[Poison]:
    """What the dead letters say of each dose, once all are there or `patience` ends."""
    told: dict[str, list[dict[str, Any]]] = {}
    try:
        async with asyncio.timeout(patience):
            while not told or not all(_reason(dose, told[dose.backend]) for dose in given):
                told = {backend: await _letters(lab, service) for backend, service in SERVICES.items()}
                await asyncio.sleep(0.5)
    except TimeoutError:
        pass
    return [Poison(dose.mark, dose.backend, _reason(dose, told.get(dose.backend, []))) for dose in given]


async def _letters(lab: ProcessLab, service: str) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(timeout=20) as http:
        answer = await http.get(f"{lab.suite.url(service)}/dead-letters", params={"count": 400})
        letters: list[dict[str, Any]] = answer.raise_for_status().json()["deadLetters"]
        return letters


def _reason(dose: Dose, letters: list[dict[str, Any]]) -> str:
    marked = re.compile(re.escape(dose.mark) + r"(?!\d)")  # the first is not the tenth
    for letter in letters:
        names = (letter.get("jobId"), letter.get("originalMessageId"), letter.get("key"), str(letter.get("data")))
        if any(marked.search(name or "") for name in names):
            return str(letter.get("error") or "")
    return ""
