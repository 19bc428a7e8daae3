from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
from fastapi import APIRouter, FastAPI

from booking_queue.settings import Settings
from booking_queue.web.body import BATCH_LIMIT, LIMIT, MAX_DEPTH, Body
from booking_queue.web.service import create_app
from tests.services.live_app import Live, live
from tests.services.raw_http import HARDLY_HTTP

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}


def app() -> FastAPI:
    router = APIRouter()

    @router.post("/echo")
    async def echo(body: dict[str, Any]) -> dict[str, Any]:
        return body

    @router.post("/echo/batch")
    async def echo_batch(body: dict[str, Any]) -> dict[str, int]:
        return {"size": len(body["text"])}

    return create_app("test", Settings(), default_port=0, routers=[router], batch_paths=["/echo/batch"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Live]:
    async with live(app()) as running:
        yield running


async def post(server: Live, content: Any, path: str = "/echo") -> httpx.Response:
    return await server.http.post(path, content=content, headers=JSON)


def sized(size: int) -> bytes:
    return b'{"text":"' + b"x" * (size - 11) + b'"}'


async def test_the_limit_is_exact_and_the_batch_paths_have_their_own(server: Live) -> None:
    assert (await post(server, sized(LIMIT))).status_code == 200
    refused = await post(server, sized(LIMIT + 1))
    assert refused.status_code == 413 and refused.json()["code"] == "body_too_large"
    assert (await post(server, sized(BATCH_LIMIT), "/echo/batch")).status_code == 200
    assert (await post(server, sized(BATCH_LIMIT + 1), "/echo/batch")).status_code == 413


async def chunks(size: int, sent: list[int]) -> AsyncIterator[bytes]:
    for start in range(0, size, 8192):
        sent.append(min(8192, size - start))
        yield b"x" * sent[-1]
        await asyncio.sleep(0)


async def test_a_chunked_body_is_counted_as_it_comes(server: Live) -> None:
    assert (await post(server, chunks(LIMIT + 1, []))).status_code == 413


async def test_an_endless_body_is_not_read_to_its_end(server: Live) -> None:
    sent: list[int] = []
    with contextlib.suppress(httpx.WriteError, httpx.ReadError):  # closed in our face: a refusal too
        assert (await post(server, chunks(50_000_000, sent))).status_code == 413
    assert sum(sent) < 20_000_000


async def test_a_lying_content_length_gains_nothing(server: Live) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n")
    writer.write(b"content-length: 999999999999999\r\n\r\n{")
    assert b" 413 " in await reader.readline()
    writer.close()


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe{}",
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":9223372036854775808}',
        b'{"a":-9223372036854775809}',
        b'{"a":' + b"1" * 5000 + b"}",
        b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
        b"[" * 30_000 + b"]" * 30_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"\x00",
        b"nonsense",
    ],
)
async def test_json_that_readers_would_not_agree_on_is_refused(server: Live, body: bytes) -> None:
    answer = await post(server, body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "invalid_json" and answer.json()["error"] == "Invalid JSON"


@pytest.mark.parametrize(
    "value",
    [
        {"a": "\x00"},
        {"a": "日本 \u202e"},
        {"a": 2**63 - 1},
        {"a": -(2**63)},
        {"a": "12345678901234567890123"},
        {"a": [[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]},
        {"a": [[1]] * 100},
    ],
)
async def test_unusual_but_sound_json_passes_unchanged(server: Live, value: dict[str, Any]) -> None:
    answer = await post(server, orjson.dumps(value))
    assert answer.status_code == 200 and answer.json() == value


async def test_a_body_that_is_not_json_is_415(server: Live) -> None:
    for headers in (
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {},
    ):
        answer = await server.http.post("/echo", content=b'{"a":1}', headers=headers)
        assert answer.status_code == 415 and "content-type: application/json" in answer.json()["detail"]
    ours = {"content-type": "application/cloudevents+json; charset=utf-8"}
    assert (await server.http.post("/echo", content=b'{"a":1}', headers=ours)).status_code == 200


async def test_a_body_that_dawdles_is_408() -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the route must not run")

    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    await Body(never, read_seconds=0.05)(scope, receive, send)
    assert sent[0]["status"] == 408


async def test_a_client_that_leaves_runs_nothing(server: Live) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{")
    await writer.drain()
    writer.close()
    assert (await post(server, b'{"a":1}')).status_code == 200


@pytest.mark.parametrize(("raw", "statuses"), HARDLY_HTTP)
async def test_bytes_that_are_hardly_http(server: Live, raw: bytes, statuses: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(raw)
    async with asyncio.timeout(20):
        for status in statuses:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status), head
            length = re.search(rb"content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            if status >= 400:
                assert b"application/problem+json" in head and orjson.loads(body)["error"]
    writer.close()
    assert (await server.http.get("/livez")).status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\nx-a: " + b"b" * 100_000,
        b"GET /livez HTTP/1.1\r\n" + b"a: b\r\n" * 20_000,
        b"GET /livez?" + b"q" * 100_000 + b" HTTP/1.1",
    ],
)
async def test_a_head_beyond_its_bound_is_refused(server: Live, head: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head + b"\r\n\r\n")
    with contextlib.suppress(ConnectionError):  # closed in our face: a refusal too
        assert b" 200 " not in await asyncio.wait_for(reader.readline(), 20)
    writer.close()
