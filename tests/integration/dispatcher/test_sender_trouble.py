"""Receivers that answer late, never, or with what is no answer."""

from __future__ import annotations

import asyncio
import socket
import struct

import aiohttp
import pytest

from shared.domain.attempts import Outcome
from shared.domain.content import Method
from shared.store.pool import Connection
from tests.integration.dispatcher.sending import SHORT, answering, flooding, raw_server, sent, storable
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.receiver import Receiver

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


async def test_an_answer_that_takes_too_long_is_a_timeout(session: aiohttp.ClientSession) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(silent) as url:
        attempt = await sent(session, url, within=SHORT)

    assert (attempt.outcome, attempt.status_code) == (Outcome.TIMEOUT, None)
    assert attempt.duration_ms >= 150
    assert attempt.error is not None


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nx-slow: "])
async def test_a_head_that_comes_byte_by_byte_is_a_timeout(session: aiohttp.ClientSession, beginning: bytes) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(beginning)
        for byte in b"HTTP/1.1 200 OK\r\n" if not beginning else b"y" * 1000:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)

    async with raw_server(drip) as url:
        attempt = await sent(session, url, within=SHORT)

    assert (attempt.outcome, attempt.status_code) == (Outcome.TIMEOUT, None)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_a_body_that_nobody_reads_is_a_timeout_and_costs_the_connection(session: aiohttp.ClientSession) -> None:
    closed = asyncio.Event()

    async def ignore(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await asked_to_look.wait()
        try:
            while await reader.read(2**20):
                pass
        finally:
            closed.set()

    asked_to_look = asyncio.Event()
    async with raw_server(ignore) as url:
        attempt = await sent(session, url, within=SHORT, body=b"x" * 32 * 2**20)
        asked_to_look.set()
        await asyncio.wait_for(closed.wait(), PATIENCE)

    assert (attempt.outcome, attempt.status_code) == (Outcome.TIMEOUT, None)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_an_answer_counts_although_the_body_was_not_read(session: aiohttp.ClientSession) -> None:
    async with raw_server(answering(OK, then_wait=True)) as url:
        attempt = await sent(session, url, body=b"x" * 32 * 2**20)

    assert (attempt.outcome, attempt.status_code) == (Outcome.DELIVERED, 200)


async def test_a_refused_connection_is_a_network_error(session: aiohttp.ClientSession) -> None:
    attempt = await sent(session, f"http://127.0.0.1:{free_port()}/")

    assert (attempt.outcome, attempt.status_code) == (Outcome.NETWORK_ERROR, None)
    assert attempt.error is not None


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\nx-half: "])
async def test_a_reset_before_the_end_of_the_head_is_a_network_error(
    session: aiohttp.ClientSession, before: bytes
) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(before)
        at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        writer.transport.abort()

    async with raw_server(reset) as url:
        attempt = await sent(session, url)

    assert (attempt.outcome, attempt.status_code) == (Outcome.NETWORK_ERROR, None)
    assert attempt.error in (
        "the connection broke: Connection reset by peer",
        "the connection was closed before an answer came",
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"<html>secret</html>",
        b"ICY 200 OK\r\n\r\nsecret",
        b"HTTP/2 200 OK\r\n\r\nsecret",
        b"HTTP/1.1 200 OK\r\nsecret header\r\n\r\n",
        b"HTTP/1.1 99999 Odd\r\n\r\n",
        b"HTTP/1.1 -20 Odd\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nset-cookie: secret\0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nset-cookie: secret" + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nsecret" + b"y" * 100_000 + b": x\r\n\r\n",
        b"HTTP/1.1 200 " + b"secret" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-secret: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nsecret",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 6\r\n\r\nsecret",
        b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\nsecret",
        b"\0" * 1000,
        b"\xff\xfesecret" * 1000,
    ],
    ids=lambda answer: repr(answer[:30]),
)
async def test_what_is_no_answer_is_a_network_error_that_quotes_nothing(
    session: aiohttp.ClientSession, conn: Connection, answer: bytes
) -> None:
    async with raw_server(answering(answer)) as url:
        attempt = await sent(session, url)

    assert (attempt.outcome, attempt.status_code) == (Outcome.NETWORK_ERROR, None)
    assert attempt.error is not None
    assert 10 < len(attempt.error) <= 100
    assert "secret" not in attempt.error
    assert await storable(conn, attempt)


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"HTTP/1.1 200 OK\r\nx-long: ", b"y" * 4096),
        (b"HTTP/1.1 200 OK\r\n", b"x-again: y\r\n" * 100),
        (b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 100),
        (b"", b"HTTP/1.1 " * 1000),
    ],
)
async def test_a_head_without_end_costs_the_receiver_its_connection(
    session: aiohttp.ClientSession, head: bytes, part: bytes
) -> None:
    closed = asyncio.Event()

    async with raw_server(flooding(head, part, closed)) as url:
        attempt = await sent(session, url)
        await asyncio.wait_for(closed.wait(), PATIENCE)

    assert (attempt.outcome, attempt.status_code) == (Outcome.NETWORK_ERROR, None)


async def test_informational_answers_are_passed_over(session: aiohttp.ClientSession) -> None:
    hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    async with raw_server(answering(hints + OK)) as url:
        attempt = await sent(session, url)

    assert (attempt.outcome, attempt.status_code, attempt.error) == (Outcome.DELIVERED, 200, None)


async def test_another_protocol_is_an_http_error(session: aiohttp.ClientSession, conn: Connection) -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\x81\x05hello"
    async with raw_server(answering(switch, then_wait=True)) as url:
        attempt = await sent(session, url)

    assert (attempt.outcome, attempt.status_code) == (Outcome.HTTP_ERROR, 101)
    assert await storable(conn, attempt)


async def test_what_comes_unasked_is_no_answer_to_the_next_request(session: aiohttp.ClientSession) -> None:
    requests: list[bytes] = []

    async def answer_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK if len(requests) == 1 else b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            if len(requests) == 1:
                await answered.wait()
                writer.write(OK)
                await reader.read()
                closed.set()

    answered, closed = asyncio.Event(), asyncio.Event()
    async with raw_server(answer_twice) as url:
        first = await sent(session, url)
        answered.set()
        await asyncio.wait_for(closed.wait(), PATIENCE)
        second = await sent(session, url)

    assert (first.status_code, second.status_code) == (200, 500)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_nothing_is_sent_again_when_a_kept_connection_breaks(
    session: aiohttp.ClientSession, method: Method
) -> None:
    heads: list[bytes] = []

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        if len(heads) == 1:
            heads.append(await reader.readuntil(b"\r\n\r\n"))

    async with raw_server(answer_once) as url:
        first = await sent(session, url, method=method)
        second = await sent(session, url, method=method)

    assert (first.outcome, second.outcome) == (Outcome.DELIVERED, Outcome.NETWORK_ERROR)
    assert len(heads) == 2


async def test_a_dead_neighbour_changes_nothing_for_the_next_request(
    session: aiohttp.ClientSession, receiver: Receiver
) -> None:
    async with raw_server(answering(b"")) as url:
        await sent(session, url)

    assert (await sent(session, receiver.url())).outcome is Outcome.DELIVERED
