from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from booking_queue import trace
from booking_queue.settings import Settings
from booking_queue.web import problems
from booking_queue.web.client import Rejected, ServiceClient, Unavailable
from booking_queue.web.service import create_app
from tests.services.live_app import Live, live

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "the-key-of-this-test"


def app() -> FastAPI:
    router = APIRouter()

    @router.post("/echo")
    async def echo(body: dict[str, Any], request: Request) -> dict[str, Any]:
        return {"body": body, "trace": request.scope["traceparent"], "query": dict(request.query_params)}

    @router.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(3)

    @router.get("/fail/{status}")
    async def fail(status: int) -> None:
        raise problems.Problem(status, "said the service")

    @router.get("/text")
    async def text() -> Response:
        return Response("<html>", media_type="text/html")

    @router.delete("/nothing", status_code=204)
    async def nothing() -> None:
        return None

    return create_app("test", Settings(auth="required", api_key=KEY), default_port=0, routers=[router])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Live]:
    async with live(app()) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(server: Live) -> AsyncIterator[ServiceClient]:
    async with ServiceClient(server.url + "/", api_key=KEY) as made:
        yield made


async def test_json_goes_and_comes_with_the_trace(client: ServiceClient) -> None:
    token = trace.current.set(trace.new())
    answer = await client.request("POST", "/echo", body={"a": [1]}, params={"q": "x"})
    assert answer["body"] == {"a": [1]} and answer["query"] == {"q": "x"}
    assert trace.trace_id(answer["trace"]) == trace.trace_id(trace.current.get())
    trace.current.reset(token)
    assert await client.delete("/nothing") is None


async def test_a_4xx_is_rejected_with_the_problem(client: ServiceClient) -> None:
    with pytest.raises(Rejected, match="answered 409: said the service") as caught:
        await client.get("/fail/409")
    assert caught.value.status == 409 and caught.value.body["code"] == "conflict"
    with pytest.raises(Rejected, match="answered 404"):
        await client.get("/nowhere")


async def test_a_5xx_is_unavailable(client: ServiceClient) -> None:
    with pytest.raises(Unavailable) as caught:
        await client.get("/fail/503")
    assert caught.value.status == 503 and caught.value.body["code"] == "unavailable"


async def test_the_deadline_covers_the_whole_call(client: ServiceClient) -> None:
    started = asyncio.get_running_loop().time()
    with pytest.raises(Unavailable, match=r"within 0\.2 s"):
        await client.get("/slow", deadline=0.2)
    assert asyncio.get_running_loop().time() - started < 2.5
    assert (await client.post("/echo", {"after": True}))["body"] == {"after": True}


async def test_nobody_there_and_no_json_are_unavailable(client: ServiceClient) -> None:
    with pytest.raises(Unavailable, match="answered no JSON"):
        await client.get("/text")
    async with ServiceClient("http://127.0.0.1:1") as nobody:
        with pytest.raises(Unavailable, match="cannot be reached: ConnectionRefusedError"):
            await nobody.get("/")


async def test_a_connection_cut_in_the_middle_is_unavailable() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
        writer.close()

    served = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with served, ServiceClient(f"http://127.0.0.1:{served.sockets[0].getsockname()[1]}") as client:
        with pytest.raises(Unavailable, match="ConnectionLost"):
            await client.get("/")


async def test_nothing_is_retried() -> None:
    calls = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        await reader.readuntil(b"\r\n\r\n")
        calls += 1
        writer.close()

    served = await asyncio.start_server(count, "127.0.0.1", 0)
    async with served, ServiceClient(f"http://127.0.0.1:{served.sockets[0].getsockname()[1]}") as client:
        with pytest.raises(Unavailable):
            await client.post("/", {})
    assert calls == 1
