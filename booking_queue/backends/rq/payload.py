"""What an RQ job asks for, read without importing or unpickling anything."""

from __future__ import annotations

import zlib
from collections.abc import Collection
from typing import Any

import orjson

from booking_queue.backends.envelope import MAX_BYTES
from booking_queue.domain.errors import UnreadableMessage

FUNCTION = "worker_service.rq_job.perform"
TYPE_LENGTH = 50
PICKLE = b"\x80"  # how every pickle since protocol 2 begins

Call = tuple[str, list[Any], dict[str, Any]]


def asked(stored: bytes, types: Collection[str]) -> tuple[str, dict[str, Any]]:
    """Job type and data of a record's `data` field. Raises UnreadableMessage, its text naming the remedy."""
    function, args, kwargs = _call(plain(stored))
    if function == FUNCTION:
        kind, data = _bound(args, kwargs)
    elif function in types:
        kind, data = function, _only(args, kwargs)
    else:
        raise UnreadableMessage(
            f"func_name {function[:100]!r} is not run here. Enqueue {FUNCTION!r} with a job type and an object, "
            f"or a job type's name with an object; known types: {', '.join(sorted(types))}"
        )
    if not isinstance(kind, str) or not 0 < len(kind) <= TYPE_LENGTH or not isinstance(data, dict):
        raise UnreadableMessage(f"{function} takes a job type (text) and an object, and got something else")
    return kind, data


def plain(stored: bytes) -> bytes:
    """RQ compresses and reads both; we write it plain, and no zlib begins like a JSON array."""
    if stored.startswith(b"["):
        if len(stored) > MAX_BYTES:
            raise UnreadableMessage(f"more than {MAX_BYTES} bytes")
        return stored
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(stored, MAX_BYTES + 1)
    except zlib.error:
        plain = stored
    if len(plain) > MAX_BYTES:
        raise UnreadableMessage(f"more than {MAX_BYTES} bytes")
    return plain


def _call(plain: bytes) -> Call:
    if plain.startswith(PICKLE):
        raise UnreadableMessage(
            "pickled data is never loaded. Enqueue with the JSON serializer: "
            "Queue(name, connection=…, serializer='json'), or `rq enqueue --serializer json`"
        )
    try:
        call = orjson.loads(plain)
    except orjson.JSONDecodeError as error:
        raise UnreadableMessage(f"the job's data is not JSON: {error}") from error
    match call:
        case [str(function), None, list(args), dict(kwargs)]:
            return function, args, kwargs
    raise UnreadableMessage("the job's data is not RQ's [func_name, null, args, kwargs]")


def _bound(args: list[Any], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    match args, kwargs:
        case [kind, data], {} if not kwargs:
            return kind, data
        case [kind], {"data": data} if len(kwargs) == 1:
            return kind, data
        case [], {"type": kind, "data": data} if len(kwargs) == 2:
            return kind, data
    return None, None


def _only(args: list[Any], kwargs: dict[str, Any]) -> Any:
    """`enqueue("booking", {…})`, or the data's members as keyword arguments."""
    if len(args) == 1 and not kwargs:
        return args[0]
    return kwargs if not args else None


def loaded(raw: bytes) -> dict[str, Any]:
    """A record's `meta`, `{}` when there is none. Raises UnreadableMessage."""
    if not raw:
        return {}
    try:
        meta = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise UnreadableMessage(f"the job's meta is not JSON: {error}") from error
    if not isinstance(meta, dict):
        raise UnreadableMessage("the job's meta is not an object")
    return meta
