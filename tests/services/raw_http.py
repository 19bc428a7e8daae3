"""Requests as bytes that no HTTP library would send, each with the statuses of its answers.

`/echo` takes a JSON object, as every route with a body does that is not there to create something.
"""

from __future__ import annotations

GET = b"GET /livez HTTP/1.1\r\nhost: x\r\n"
POST = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n"
HARDLY_HTTP: list[tuple[bytes, list[int]]] = [
    (b"\x00\x01\x02\r\n\r\n", [400]),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400]),  # TLS
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    (b"A" * 5000 + b" / HTTP/1.1\r\n\r\n", [400]),
    (b"CONNECT x:1 HTTP/1.1\r\n\r\n", [400]),
    (b"GET /livez HTTP/1.1\nhost: x\n\n", [400]),
    (b"GET /%00%ff%fe HTTP/1.1\r\nhost: x\r\n\r\n", [404]),
    (b"GET /%zz%f HTTP/1.1\r\nhost: x\r\n\r\n", [404]),
    (b"GET /%2e%2e/%2e%2e/livez HTTP/1.1\r\nhost: x\r\n\r\n", [404]),
    (b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n", [400]),
    (b"GET /livez?%00=%ff HTTP/1.1\r\nhost: x\r\nx-api-key: \xff\r\n\r\n", [200]),
    (GET + b"x-a: b\x00c\r\n\r\n", [400]),
    (GET + b"x a: b\r\n\r\n", [400]),
    (GET + b"x-a: b\r\n folded\r\n\r\n", [400]),
    (GET + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n", [200]),
    ((GET + b"\r\n") * 3, [200] * 3),
    (GET + b"\r\n" + POST + b"content-length: 2\r\n\r\n{}", [200] * 2),
    (POST + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n{}", [100, 200]),
    (POST + b'content-length: 13\r\n\r\n{"a":1,"a":2}', [200]),
    # Lengths that two readers could understand in two ways
    (POST + b"content-length: -1\r\n\r\n{}", [400]),
    (POST + b"content-length: +2\r\n\r\n{}", [400]),
    (POST + b"content-length: 0x2\r\n\r\n{}", [400]),
    (POST + b"content-length: 2, 2\r\n\r\n{}", [400]),
    (POST + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{} ", [400]),
    (POST + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", [400]),
    (CHUNKED + b"content-length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n", [400]),
    (CHUNKED + b"transfer-encoding: identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n", [400]),
    (POST + b"transfer-encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", [400]),
    (CHUNKED + b"\r\n2\r\n{}\r\n0\r\n\r\n", [200]),
    (CHUNKED + b"\r\nzz\r\n{}\r\n0\r\n\r\n", [400]),
    (CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n", [400]),
    (CHUNKED + b"\r\n1\r\n{}\r\n0\r\n\r\n", [400]),
    (CHUNKED + b"\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n", [400]),
]
