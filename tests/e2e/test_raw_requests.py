"""What comes over a socket that no client library would send: whatever it is, the answer is a sane one, or the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

import msgspec
import pytest
import pytest_asyncio

from tests import servers
from tests.e2e.processes import MASTER, Stack
from tests.ports import HOST
from tests.servers import Databases

PATIENCE = 30.0
END = "\r\n\r\n"
GET = "GET /events HTTP/1.1\r\nHost: a\r\n"
TOKEN = f"Authorization: Bearer {MASTER}\r\n"
JSON = "Content-Type: application/json\r\n"
POST = f"POST /events HTTP/1.1\r\nHost: a\r\n{TOKEN}{JSON}"


class Seen(msgspec.Struct, frozen=True):
    """What came back on a connection: the statuses of all answers, and the last one's headers and body."""

    statuses: list[int]
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The word of the problem."""
        return json.loads(self.body)["code"]


async def exchange(port: int, sent: bytes) -> Seen:
    """Send bytes, and read until the server hangs up; it does when the last request says `Connection: close`."""
    reader, writer = await asyncio.open_connection(HOST, port)
    async with asyncio.timeout(PATIENCE):
        writer.write(sent)
        seen: list[tuple[int, dict[str, str], bytes]] = []
        while (answer := await one_answer(reader)) is not None:
            seen.append(answer)
    writer.close()
    return Seen([status for status, _, _ in seen], *(seen[-1][1:] if seen else ({}, b"")))


async def one_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes] | None:
    """Read one answer; None when the server has hung up."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return None
    status, *lines = head.split("\r\n")[:-2]
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = b""
    if "chunked" in headers.get("transfer-encoding", ""):
        while size := int((await reader.readline()).strip(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    elif "content-length" in headers:
        body = await reader.read(int(headers["content-length"]))  # none of it for HEAD
    return int(status.split(" ")[1]), headers, body


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def port(
    databases: Databases, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[int]:
    """An API as it is started everywhere, for all tests of this module."""
    async with Stack(databases.create(), redis_server, tmp_path_factory.mktemp("raw")) as stack:
        [api] = await stack.start("api")
        yield stack.api_port
        assert "request.crashed" not in api.text()
        assert "Traceback" not in api.text()
    servers.flush(redis_server)


CLOSE = "Connection: close\r\n"
REFUSED: dict[str, str | bytes] = {
    "no HTTP": "nonsense\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100,
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a NUL in a header": GET + "X-A: a\0b\r\n\r\n",
    "a bare CR in a header": GET + "X-A: a\rb: c\r\n\r\n",
    "a space before the colon": GET + "X-A : a\r\n\r\n",
    "a folded header": GET + "X-A: a\r\n b\r\n\r\n",
    "a header without a name": GET + ": a\r\n\r\n",
    "a space in the path": "GET /ev ents HTTP/1.1\r\nHost: a\r\n\r\n",
    "raw bytes in the path": b"GET /events/\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tunnel": "CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "two lengths": POST + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "the same length twice": POST + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a length and chunks": POST + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": POST + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "a negative length": POST + "Content-Length: -1\r\n\r\n",
    "a length that is none": POST + "Content-Length: 0x10\r\n\r\n",
    "an endless length": POST + "Content-Length: 99999999999999999999999999\r\n\r\n",
    "chunks by another name": POST + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two hosts": GET + TOKEN + "Host: b\r\n" + CLOSE + "\r\n",
    "two tokens": GET + TOKEN + "Authorization: Bearer x\r\n" + CLOSE + "\r\n",
    "two content types": POST + "Content-Type: text/plain\r\nContent-Length: 2\r\n" + CLOSE + "\r\n{}",
    "a head of a mebibyte in one header": GET + "X-A: " + "a" * 2**20 + END,
    "a head of a mebibyte in many headers": GET + "".join(f"X-{n}: {'a' * 1000}\r\n" for n in range(1000)) + "\r\n",
    "a head that is a little too large": GET + CLOSE + "X-A: " + "a" * 2**16 + END,
    "a path of a mebibyte": "GET /" + "a" * 2**20 + " HTTP/1.1\r\nHost: a\r\n\r\n",
    "a query of a mebibyte": "GET /events?name=" + "a" * 2**20 + " HTTP/1.1\r\nHost: a\r\n\r\n",
    "101 headers": GET + CLOSE + "".join(f"X-{n}: a\r\n" for n in range(99)) + "\r\n",
    "101 parameters": f"GET /events?{'&'.join('limit=1' for _ in range(101))} HTTP/1.1\r\nHost: a\r\n{CLOSE}\r\n",
    "trailers of a mebibyte": POST + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + f"X-A: {'a' * 1000}\r\n" * 1000,
    "a chunk that is none": POST + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED)
async def test_a_request_that_cannot_be_read_is_a_400_and_the_end_of_its_connection(
    port: int, sent: str | bytes
) -> None:
    seen = await exchange(port, sent.encode("latin-1") if isinstance(sent, str) else sent)

    assert seen.statuses == [400]
    assert seen.code == "malformed_request"
    assert seen.headers["content-type"] == "application/problem+json"
    assert seen.headers["x-request-id"] == json.loads(seen.body)["request_id"]
    assert seen.headers["connection"] == "close"


ANSWERED: dict[str, tuple[str | bytes, list[int]]] = {
    "an upgrade that is not taken": (f"{GET}{TOKEN}Connection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n", [200]),
    "a web socket": (
        f"{GET}{TOKEN}Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        [200],
    ),
    "HTTP/1.0": ("GET /health HTTP/1.0\r\n\r\n", [200]),
    "a whole URL": (f"GET http://b/health HTTP/1.1\r\nHost: a\r\n{CLOSE}\r\n", [200]),
    "an unknown expectation": (f"{POST}{CLOSE}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{{}}", [100, 422]),
    "two requests at once": (f"{GET}{TOKEN}\r\n{GET}{CLOSE}\r\n", [200, 401]),
    "a method that nobody knows": (f"PURGE /events HTTP/1.1\r\nHost: a\r\n{TOKEN}{CLOSE}\r\n", [405]),
    "a long path": (f"GET /events/{'a' * 60_000} HTTP/1.1\r\nHost: a\r\n{TOKEN}{CLOSE}\r\n", [404]),
    "a path that climbs": (f"GET /docs/../../etc/passwd HTTP/1.1\r\nHost: a\r\n{TOKEN}{CLOSE}\r\n", [404]),
    "a token of 60 000 characters": (f"{GET}Authorization: Bearer {'a' * 60_000}\r\n{CLOSE}\r\n", [401]),
    "a body that is too large": (f"{POST}{CLOSE}Content-Length: 9999999999\r\n\r\n", [413]),
    "a body in chunks": (f"{POST}{CLOSE}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n1\r\n}}\r\n0\r\n\r\n", [422]),
    "a trailer": (f"{POST}{CLOSE}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\nIf-Match: x\r\n\r\n", [422]),
}


@pytest.mark.parametrize(("sent", "statuses"), ANSWERED.values(), ids=ANSWERED)
async def test_an_odd_request_is_answered_as_what_it_is(port: int, sent: str | bytes, statuses: list[int]) -> None:
    seen = await exchange(port, sent.encode("latin-1") if isinstance(sent, str) else sent)

    assert seen.statuses == statuses


async def test_head_is_answered_as_get_without_the_body(port: int) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    async with asyncio.timeout(PATIENCE):
        writer.write(f"HEAD /health HTTP/1.1\r\nHost: a\r\n{CLOSE}\r\n".encode())
        answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\ncontent-length: 15\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")
