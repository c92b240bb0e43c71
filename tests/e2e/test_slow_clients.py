"""Clients that are slow or silent lose their connection in time, hold nothing that others need, and delay nobody."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests import servers
from tests.e2e.processes import MASTER, Stack
from tests.integration.waiting import until
from tests.ports import HOST
from tests.servers import Databases

SLOW = 500
POOL = 10
"""So many connections to PostgreSQL the API has."""
PATIENCE = 40.0
"""Far above the limits of `impatient`, for machines that are slow themselves."""
LARGE = 64_000
EVENTS = 150
DEAF = 4

HEAD = f"POST /events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {MASTER}\r\nContent-Type: application/json\r\n"
GET = f"GET /events?limit=200 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {MASTER}\r\n\r\n"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(
    databases: Databases, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Stack]:
    """An API that waits less for slow clients, but in the same way."""
    async with Stack(databases.create(), redis_server, tmp_path_factory.mktemp("slow")) as stack:
        api = stack.launch("api", through=("tests.e2e.impatient",))
        await api.ready(stack.api_port)
        yield stack
        assert "request.crashed" not in api.text()
    servers.flush(redis_server)


async def connected(stack: Stack, sent: str) -> Streams:
    reader, writer = await asyncio.open_connection(HOST, stack.api_port)
    writer.write(sent.encode())
    return reader, writer


async def all_connected(stack: Stack, sent: str) -> list[Streams]:
    return list(await asyncio.gather(*(connected(stack, sent) for _ in range(SLOW))))


async def trickle(streams: Streams, sent: str) -> bytes:
    """Send what never ends byte by byte until the server hangs up; return what it has said."""
    _, writer = streams

    async def send() -> None:
        while True:
            writer.write(sent.encode())
            await asyncio.sleep(0.2)

    sending = asyncio.create_task(send())
    try:
        return await said(streams)
    finally:
        sending.cancel()


async def said(streams: Streams) -> bytes:
    """Return what the server says until it hangs up."""
    reader, writer = streams
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def others_are_served(stack: Stack) -> None:
    """Make as many requests at once as there are connections to PostgreSQL, and some more."""
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(stack.create(webhook_url="https://example.com/", in_="PT1H") for _ in range(2 * POOL)))


async def test_heads_that_never_end_are_cut_off_and_stop_nobody(stack: Stack) -> None:
    slow = await all_connected(stack, HEAD)
    ends = asyncio.gather(*(trickle(streams, "a") for streams in slow))

    await others_are_served(stack)

    async with asyncio.timeout(PATIENCE):
        assert set(await ends) == {b""}


async def test_bodies_that_never_end_are_a_408_and_stop_nobody(stack: Stack) -> None:
    slow = await all_connected(stack, HEAD + "Content-Length: 100000\r\n\r\n{")
    ends = asyncio.gather(*(trickle(streams, " ") for streams in slow))

    await others_are_served(stack)

    async with asyncio.timeout(PATIENCE):
        answers = await ends
    # A client that goes on sending when the connection is closed may lose what it has not read yet.
    told = [answer for answer in answers if answer]
    assert told
    for answer in told:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in head
        assert b'"code":"request_timeout"' in body


async def test_silence_and_what_never_ends_behind_an_answer_are_cut_off(stack: Stack) -> None:
    refused = HEAD.replace(MASTER, "nobody") + "Content-Length: 100000\r\n\r\n{"
    answered = "GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nA: "

    async with asyncio.timeout(PATIENCE):
        silent, body, head = await asyncio.gather(
            said(await connected(stack, "")),
            trickle(await connected(stack, refused), " "),
            trickle(await connected(stack, answered), "a"),
        )

    assert silent == b""
    assert body.startswith(b"HTTP/1.1 401 ")
    assert head.startswith(b"HTTP/1.1 200 ")


async def test_answers_that_are_never_read_are_cut_off_and_stop_nobody(stack: Stack) -> None:
    body = {"name": "a", "webhook_url": "https://example.com/", "in": "PT1H", "metadata": {"a": "b" * LARGE}}
    for _ in range(EVENTS // 15):
        async with stack.request("POST", "/events/batch", json={"events": [body] * 15}) as answer:
            assert answer.status == 201
    deaf = [deaf_client(stack) for _ in range(DEAF)]

    async def all_are_cut_off() -> bool:
        return cut_off(stack) == DEAF

    await others_are_served(stack)

    await until(all_are_cut_off, within=PATIENCE)
    for client in deaf:
        client.close()


def deaf_client(stack: Stack) -> socket.socket:
    """Return a connection that asks twice for megabytes and reads none of them, though the kernel takes some."""
    client = socket.create_connection((HOST, stack.api_port))
    client.sendall(GET.encode() * 2)
    return client


def cut_off(stack: Stack) -> int:
    """Return how many connections were cut off while there was something to read for their clients."""
    return sum(
        '"unread":0' not in line for line in stack.started[0].text().splitlines() if "connection.cut_off" in line
    )
