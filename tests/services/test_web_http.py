"""The client's own HTTP against servers of every make."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from booking_queue.web import http
from booking_queue.web.http import Answer, ConnectionLost, Http


class Server:
    """Gives the scripted answers, one a request; then, or where one is None, it closes."""

    def __init__(self, answers: Sequence[bytes | None]):
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.left = 0  # connections that the client ended

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                for start in range(0, len(answer), 7):  # in small pieces
                    writer.write(answer[start : start + 7])
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left += 1
        writer.close()


@asynccontextmanager
async def client_of(*answers: bytes | None, connections: int = 4) -> AsyncIterator[tuple[Http, Server]]:
    server = Server(answers)
    served = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with served:
        client = Http(f"http://127.0.0.1:{served.sockets[0].getsockname()[1]}/base/", {"x-own": "1"}, connections)
        yield client, server
        client.close()


async def get(client: Http, path: str = "/x") -> Answer:
    async with asyncio.timeout(5):
        return await client.request("GET", path, {}, b"")


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def test_one_connection_is_kept_and_the_request_is_as_it_should_be() -> None:
    async with client_of(OK, OK) as (client, server):
        for _ in range(2):
            assert await client.request("POST", "/a b?q=\r\n&ü=1", {"content-type": "x"}, b"body") == Answer(200, b"ok")
    assert server.connections == 1
    head, body = server.requests[0].split(b"\r\n\r\n")
    assert body == b"body"
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /base/a%20b?q=%0D%0A&%C3%BC=1 HTTP/1.1"
    assert {line.split(b":")[0] for line in lines[1:]} == {b"host", b"x-own", b"content-type", b"content-length"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", Answer(200, b"abcd")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Answer(204, b"")),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx", Answer(404, b"x")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 1\r\n\r\nx", Answer(201, b"x")),
        (b"HTTP/1.1 500 \r\ncontent-length: 0\r\n\r\n", Answer(500, b"")),
    ],
)
async def test_answers_of_every_kind_leave_a_usable_connection(raw: bytes, expected: Answer) -> None:
    async with client_of(raw, OK) as (client, server):
        assert await get(client) == expected
        assert await get(client) == Answer(200, b"ok")
        assert server.connections == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 13\r\n\r\nuntil the end",
    ],
)
async def test_a_connection_that_ends_with_its_answer_is_not_used_again(raw: bytes) -> None:
    async with client_of(raw) as (client, _):
        assert await get(client) == Answer(200, b"until the end")
        assert not client._idle


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ],
)
async def test_what_is_no_whole_answer_is_a_loss(raw: bytes | None) -> None:
    async with client_of(raw) as (client, _):
        with pytest.raises(ConnectionLost):
            await get(client)
        assert not client._idle


async def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_RESPONSE", 1000)
    async with client_of(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n" + b"x" * 5000) as (client, _):
        with pytest.raises(ConnectionLost, match="too large"):
            await get(client)


async def test_a_second_answer_is_never_taken_for_the_next_requests() -> None:
    forged = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged"
    async with client_of(OK + forged, OK) as (client, server):
        assert (await get(client)).body == b"ok"
        await asyncio.sleep(0.05)
        assert (await get(client)).body == b"ok"
        assert server.connections == 2


async def test_idle_connections_are_not_trusted_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async with client_of(OK, OK) as (client, server):
        await get(client)
        monkeypatch.setattr(http, "IDLE_SECONDS", 0)
        await get(client)
        assert server.connections == 2


async def test_a_connection_that_died_idle_is_replaced() -> None:
    async with client_of(OK) as (client, server):
        await get(client)
        await asyncio.sleep(0.05)  # the server has closed it by now
        server.answers.append(OK)
        assert (await get(client)).body == b"ok"


async def test_connections_are_limited_and_a_cancelled_call_frees_its_own() -> None:
    async with client_of(b"", OK, connections=1) as (client, server):
        stuck = asyncio.create_task(get(client))
        waiting = asyncio.create_task(get(client))
        await asyncio.sleep(0.1)
        assert server.connections == 1 and not waiting.done()
        stuck.cancel()
        assert (await waiting).body == b"ok"
        assert server.left == 1


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb"])
async def test_a_header_cannot_hold_another(value: str) -> None:
    async with client_of(OK) as (client, server):
        with pytest.raises(ValueError, match="line end"):
            await client.request("GET", "/", {"x": value}, b"")
        assert server.connections == 0


@pytest.mark.parametrize("url", ["ftp://x", "x:1", "", "http://"])
def test_only_http_urls(url: str) -> None:
    with pytest.raises(ValueError, match="not an http URL"):
        Http(url, {}, 1)
