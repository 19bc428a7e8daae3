"""A primary, its replica, and three sentinels that watch them: as processes on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis

from local.broker_process import BrokerProcess, RedisProcess
from local.probe import redis_answers, wait_until
from local.redis_server import find_redis

MASTER = "ours"
DOWN_AFTER_MS = 1000


class Member(RedisProcess):
    """A primary, or a replica of `source`. Which of them is the primary later is for the sentinels to say."""

    def __init__(self, folder: Path, password: str, source: RedisProcess | None = None) -> None:
        super().__init__(folder, password, "always")
        self._source = source

    def command(self) -> list[str]:
        command = super().command()
        lines = [f'masterauth "{self.password}"', "repl-diskless-sync-delay 0"]
        if self._source:
            lines.append(f"replicaof {self._source.host} {self._source.port}")
        with Path(command[-1]).open("a") as file:
            file.write("\n".join(lines) + "\n")
        return command

    def client(self) -> Any:
        return redis.Redis(host=self.host, port=self.port, password=self.password)


class SentinelProcess(BrokerProcess):
    def __init__(self, folder: Path, watched: Member) -> None:
        super().__init__(folder)
        self._watched = watched

    def command(self) -> list[str]:
        config = self.folder / "sentinel.conf"
        if not config.exists():  # afterwards it is the sentinel's own
            lines = [
                f"bind {self.host}",
                f"port {self.port}",
                f'dir "{self.folder}"',
                f"sentinel monitor {MASTER} {self._watched.host} {self._watched.port} 2",
                f"sentinel auth-pass {MASTER} {self._watched.password}",
                f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
                f"sentinel failover-timeout {MASTER} 3000",
            ]
            config.write_text("\n".join(lines) + "\n")
        return [str(find_redis().path), str(config), "--sentinel"]

    def answers(self) -> bool:
        return redis_answers(self.host, self.port)


class Watched:
    def __init__(self, folder: Path, password: str) -> None:
        self.primary = Member(folder / "primary", password)
        self.replica = Member(folder / "replica", password, self.primary)
        self.sentinels = [SentinelProcess(folder / f"sentinel-{number}", self.primary) for number in range(3)]

    @property
    def places(self) -> str:
        return ",".join(f"{each.host}:{each.port}" for each in self.sentinels)

    def start(self) -> None:
        for each in (self.primary, self.replica, *self.sentinels):
            each.start()
        assert wait_until(self._all_known, 30), "the sentinels did not find one another and the replica"

    def _all_known(self) -> bool:
        """To each sentinel: a replica, and two others to agree with."""
        return all(_knows(each) == (1, 2) for each in self.sentinels)

    def kill(self) -> None:
        for each in (*self.sentinels, self.replica, self.primary):
            each.kill()


def _knows(sentinel: SentinelProcess) -> tuple[int, int]:
    with redis.Redis(host=sentinel.host, port=sentinel.port) as client:
        told: Any = client.sentinel_master(MASTER)
    return int(told["num-slaves"]), int(told["num-other-sentinels"])
