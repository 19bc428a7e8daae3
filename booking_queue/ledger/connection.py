"""Connections to the Redis that holds the ledger, and what is asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import DataError, RedisError, ResponseError

from booking_queue import logs
from booking_queue.domain.errors import LedgerUnavailable
from booking_queue.settings import Settings

log = logs.get("ledger")

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 4.0  # also of the calls behind a batch that gets none: they fail with it


class PackedConnection(Connection):
    """redis-py's asyncio connections pack a command in Python, argument by argument. A batch of ours has hundreds:
    hiredis takes a quarter of the time."""

    _serializer = HiredisRespSerializer()

    def pack_command(self, *args: Any) -> list[bytes]:
        try:
            return self._serializer.pack(*args)  # type: ignore[no-any-return]
        except DataError:  # an enum's member, or what nobody can pack
            return super().pack_command(*args)


class PackedSSLConnection(PackedConnection, SSLConnection):
    pass


class PackedSentinelConnection(PackedConnection, SentinelManagedConnection):
    pass


class PackedSentinelSSLConnection(PackedConnection, SentinelManagedSSLConnection):
    pass


def connect(settings: Settings, *, connections: int = 8, answer_seconds: float = ANSWER_SECONDS) -> Redis:
    """A client that never repeats a command by itself: a write whose answer was lost may have taken effect.

    A reader that blocks takes a client of its own, with `answer_seconds` longer than its BLOCK.
    """
    secure = settings.redis_tls == "on"
    options: dict[str, Any] = {
        "username": settings.redis_username,
        "password": settings.redis_password,
        "socket_timeout": answer_seconds,
        "socket_connect_timeout": CONNECT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        **(verified(settings) if secure else {}),
    }
    if settings.redis_sentinels:
        options["connection_class"] = PackedSentinelSSLConnection if secure else PackedSentinelConnection
        return _sentinel(settings).master_for(settings.redis_master, **options)  # type: ignore[no-any-return]
    pool = BlockingConnectionPool(
        connection_class=PackedSSLConnection if secure else PackedConnection,
        host=settings.redis_host,
        port=settings.redis_port,
        max_connections=connections,
        timeout=answer_seconds,
        **options,
    )
    return Redis(connection_pool=pool)


def verified(settings: Settings) -> dict[str, Any]:
    """redis-py's options for TLS, for a connection that speaks it."""
    authorities = {"ssl_ca_certs": str(settings.redis_ca_file)} if settings.redis_ca_file else {}
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": True, **authorities}


def _sentinel(settings: Settings) -> Sentinel:
    """Each sentinel is asked once and without patience: the first may have died with the primary."""
    places = [place.strip().rsplit(":", 1) for place in settings.redis_sentinels.split(",")]
    asked: dict[str, Any] = {
        "socket_timeout": CONNECT_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
    if settings.redis_tls == "on":
        asked |= {"ssl": True, **verified(settings)}
    return Sentinel([(host, int(port)) for host, port in places], sentinel_kwargs=asked)  # type: ignore[no-untyped-call]


class ClusterRefused(LedgerUnavailable):
    """No waiting mends it: a service that finds it at start does not start."""


async def check(redis: Redis) -> None:
    """Raises LedgerUnavailable, with the remedy, where this Redis cannot hold a ledger, or takes no writes now."""
    info = await redis.info()
    if "cluster" in (info.get("redis_mode"), info.get("server_mode")):  # the second is Valkey's name for it
        raise ClusterRefused(
            "Redis Cluster is not supported: one script changes the ledger and the broker's keys together, "
            "and they would live on different nodes. Use one primary, or REDIS_SENTINELS."
        )
    try:
        config: Mapping[Any, Any] = await redis.config_get(
            "maxmemory-policy", "save", "stop-writes-on-bgsave-error", "min-replicas-to-write"
        )
    except ResponseError:
        config = {}  # CONFIG is often forbidden on managed servers; their policy is for their owner to set
    policy = config.get("maxmemory-policy")
    if policy not in (None, "noeviction"):
        raise LedgerUnavailable(f"maxmemory-policy is {policy}: Redis would throw jobs away. Set it to noeviction.")
    if info.get("aof_enabled") == 0:
        raise LedgerUnavailable("appendonly is no: Redis would lose jobs when it is started again. Set it to yes.")
    if refusal := refuses_writes(info, config):
        raise LedgerUnavailable(refusal)


async def refuse_cluster(settings: Settings) -> None:
    """Ends the start, by SystemExit with the reason, on a Redis Cluster. One that is not ready yet may become so."""
    redis = connect(settings, connections=1)
    try:
        await check(redis)
    except ClusterRefused as error:
        raise SystemExit(str(error)) from None
    except (LedgerUnavailable, RedisError, OSError) as error:
        log.warning("redis_not_ready", why=str(error))
    finally:
        await redis.aclose()


def refuses_writes(info: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """Redis' word for why it takes no writes, by its INFO and what is known of its CONFIG; a read would not tell."""
    if info.get("role") == "slave":
        return "READONLY: this Redis is a replica"
    if info.get("aof_last_write_status", "ok") != "ok":
        return "MISCONF: Redis cannot write its append-only file; is its disk full?"
    stops = config.get("save") and config.get("stop-writes-on-bgsave-error") == "yes"
    if stops and info.get("rdb_last_bgsave_status", "ok") != "ok":
        return "MISCONF: Redis cannot write its snapshot, and refuses writes until it can; is its disk full?"
    near = info.get("min_slaves_good_slaves")  # told only where some are asked for
    if near is not None and int(near) < int(config.get("min-replicas-to-write", 1)):
        return "NOREPLICAS: fewer replicas than min-replicas-to-write are at hand"
    most = int(info.get("maxmemory", 0))
    if most and int(info.get("used_memory", 0)) > most:
        return "OOM: Redis uses more than its maxmemory"
    return None
