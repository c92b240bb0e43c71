"""What is read and kept of an answer, and what of it decides."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib

import aiohttp
import pytest

from services.dispatcher import sender
from shared.domain.attempts import Outcome
from shared.store.pool import Connection
from tests.factories import HOUR
from tests.integration.dispatcher.sending import LONG, SHORT, answering, flooding, raw_server, sent, storable
from tests.patience import PATIENCE
from tests.receiver import Receiver

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def bare_deflate(body: bytes) -> bytes:
    return zlib.compress(body, 9)[2:-4]


async def test_the_first_4_kib_of_a_body_are_kept(session: aiohttp.ClientSession, receiver: Receiver) -> None:
    receiver.answer(500, body=b"a" * 4096 + b"b")

    assert (await sent(session, receiver.url())).response_body == "a" * 4096


async def test_a_2xx_that_breaks_off_is_delivered(session: aiohttp.ClientSession) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"
    async with raw_server(answering(head)) as url:
        attempt = await sent(session, url)

    assert (attempt.outcome, attempt.status_code) == (Outcome.DELIVERED, 200)
    assert attempt.response_body == "only this"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows a head is waited for only a moment, which begins when the head is there."""
    monkeypatch.setattr(sender, "LONGEST_BODY_WAIT", SHORT.total_seconds())


@pytest.mark.usefixtures("impatient")
async def test_a_2xx_whose_body_never_ends_is_delivered_in_time(session: aiohttp.ClientSession) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"
    async with raw_server(answering(head, then_wait=True)) as url:
        attempt = await sent(session, url)

    assert (attempt.outcome, attempt.response_body) == (Outcome.DELIVERED, "only this")


async def test_no_body_is_waited_for_longer_than_the_whole_request_may_take(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "LONGEST_BODY_WAIT", HOUR.total_seconds())
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"
    async with raw_server(answering(head, then_wait=True)) as url, asyncio.timeout(PATIENCE):
        attempt = await sent(session, url, within=SHORT)

    assert attempt.outcome is (Outcome.DELIVERED if attempt.status_code else Outcome.TIMEOUT)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(b"410 Gone", Outcome.GONE), (b"500 Oh", Outcome.HTTP_ERROR), (b"302 Found", Outcome.REDIRECT)],
)
@pytest.mark.usefixtures("impatient")
async def test_the_status_decides_also_when_the_body_never_ends(
    session: aiohttp.ClientSession, status: bytes, outcome: Outcome
) -> None:
    head = b"HTTP/1.1 " + status + b"\r\ncontent-length: 100\r\n\r\nonly this"
    async with raw_server(answering(head, then_wait=True)) as url:
        attempt = await sent(session, url)

    assert (attempt.outcome, attempt.response_body) == (outcome, "only this")
    assert attempt.error == "the answer's body did not end in time"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(b"200 OK", Outcome.DELIVERED), (b"410 Gone", Outcome.GONE), (b"500 Oh", Outcome.HTTP_ERROR)],
)
async def test_the_status_decides_also_when_the_dispatcher_has_to_stop(
    session: aiohttp.ClientSession, status: bytes, outcome: Outcome
) -> None:
    answered = asyncio.Event()

    async def note(*_: object) -> None:
        answered.set()

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(note)
    trace.freeze()
    session.trace_configs.append(trace)
    head = b"HTTP/1.1 " + status + b"\r\ncontent-length: 100\r\n\r\n"
    async with raw_server(answering(head, then_wait=True)) as url:
        sending = asyncio.create_task(sent(session, url))
        await asyncio.wait_for(answered.wait(), PATIENCE)
        sending.cancel()
        attempt = await sending

    assert attempt.outcome is outcome


async def test_a_stop_before_the_head_is_passed_on(session: aiohttp.ClientSession) -> None:
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()

    async with raw_server(silent) as url:
        sending = asyncio.create_task(sent(session, url))
        await asyncio.wait_for(asked.wait(), PATIENCE)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


@pytest.mark.parametrize(
    ("rest", "stays"),
    [
        (b"content-length: 100\r\n\r\nonly this", False),
        (b"transfer-encoding: chunked\r\n\r\nzzz\r\n", False),
        (b"transfer-encoding: chunked\r\n\r\nzzz\r\n", True),
    ],
)
async def test_a_500_that_breaks_off_is_an_http_error(session: aiohttp.ClientSession, rest: bytes, stays: bool) -> None:
    async with raw_server(answering(b"HTTP/1.1 500 Oh\r\n" + rest, then_wait=stays)) as url:
        attempt = await sent(session, url)

    assert (attempt.outcome, attempt.status_code) == (Outcome.HTTP_ERROR, 500)
    assert attempt.error == "the answer's body broke off or is not valid HTTP"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 204 No Content\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n",
        CHUNKED + b"zzz\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"ffffffffffffffffff\r\n",
        CHUNKED + b"2\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\nbroken trailer\r\n\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n" + b"x: y\r\n" * 1000 + b"\r\n",
        CHUNKED + b"5;" + b"e" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
    ],
    ids=lambda answer: repr(answer[9:80]),
)
@pytest.mark.parametrize("stays", [True, False])
@pytest.mark.usefixtures("impatient")
async def test_a_2xx_counts_whatever_follows_its_head(
    session: aiohttp.ClientSession, conn: Connection, answer: bytes, stays: bool
) -> None:
    async with raw_server(answering(answer, then_wait=stays)) as url:
        attempt = await sent(session, url)

    assert (attempt.outcome, attempt.error) == (Outcome.DELIVERED, None)
    assert await storable(conn, attempt)


@pytest.mark.parametrize("status", [b"200 OK", b"500 Oh"])
async def test_an_endless_body_costs_the_receiver_its_connection(session: aiohttp.ClientSession, status: bytes) -> None:
    closed = asyncio.Event()
    head = b"HTTP/1.1 " + status + b"\r\ntransfer-encoding: chunked\r\n\r\n"

    async with raw_server(flooding(head, b"1000\r\n" + b"x" * 4096 + b"\r\n", closed)) as url:
        attempt = await sent(session, url)
        await asyncio.wait_for(closed.wait(), PATIENCE)

    assert attempt.status_code == int(status[:3])
    assert attempt.outcome is (Outcome.DELIVERED if attempt.status_code == 200 else Outcome.HTTP_ERROR)
    assert attempt.response_body == "x" * 4096
    assert attempt.duration_ms < LONG.total_seconds() * 1000


@pytest.mark.parametrize(
    ("encoding", "bomb", "kept"),
    [
        (b"gzip", gzip.compress(b"x" * 50_000_000, 9), "x" * 4096),
        (b"deflate", zlib.compress(b"x" * 50_000_000, 9), "x" * 4096),
        (b"deflate", bare_deflate(b"x" * 50_000_000), "x" * 4096),
        (b"gzip", gzip.compress(b"") * 5000, ""),
        (b"gzip", b"\x1f\x8b\x08" + b"\0" * 7 + b"\0\0\0\xff\xff" * 100_000, ""),
    ],
    ids=["gzip", "zlib", "bare deflate", "empty members", "empty blocks"],
)
async def test_a_bomb_is_read_no_further_than_64_kib(
    session: aiohttp.ClientSession, encoding: bytes, bomb: bytes, kept: str
) -> None:
    closed = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: " + encoding + b"\r\n\r\n"
    async with raw_server(flooding(head, bomb, closed)) as url:
        tracemalloc.start()
        try:
            attempt = await sent(session, url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        await asyncio.wait_for(closed.wait(), PATIENCE)

    assert (attempt.outcome, attempt.response_body) == (Outcome.DELIVERED, kept)
    assert attempt.duration_ms < LONG.total_seconds() * 1000
    assert peak < 4 * 2**20


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"because")),
        ("GZip", gzip.compress(b"because")),
        ("deflate", zlib.compress(b"because")),
        ("deflate", bare_deflate(b"because")),
        ("identity", b"because"),
        ("br", b"because"),
        ("gzip", b"because"),
        ("gzip, gzip", b"because"),
    ],
)
async def test_a_body_is_decompressed_where_it_can_be_and_kept_as_it_came_where_not(
    session: aiohttp.ClientSession, receiver: Receiver, encoding: str, body: bytes
) -> None:
    receiver.answer(500, headers={"content-encoding": encoding}, body=body)

    attempt = await sent(session, receiver.url())

    assert (attempt.outcome, attempt.response_body) == (Outcome.HTTP_ERROR, "because")
    assert receiver.requests[0].headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"\0nul\0", "\N{REPLACEMENT CHARACTER}nul\N{REPLACEMENT CHARACTER}"),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}" * 2),
        (("ä" * 3000).encode(), "ä" * 2048),
        (b"x" * 4095 + "ä".encode(), "x" * 4095 + "\N{REPLACEMENT CHARACTER}"),
        ("\N{SEEDLING}".encode(), "\N{SEEDLING}"),
        (b"\xed\xa0\x80", "\N{REPLACEMENT CHARACTER}" * 3),
    ],
)
async def test_any_body_can_be_stored(
    session: aiohttp.ClientSession, receiver: Receiver, conn: Connection, body: bytes, kept: str
) -> None:
    receiver.answer(500, body=body)

    attempt = await sent(session, receiver.url())

    assert attempt.response_body == kept
    assert await storable(conn, attempt)


@pytest.mark.parametrize("value", [b"caf\xe9", b"\xff\xfe", "ä🌱".encode(), b"\xed\xa0\x80", b"\x7f", b"x" * 5000])
async def test_any_header_can_be_stored(session: aiohttp.ClientSession, conn: Connection, value: bytes) -> None:
    answer = b"HTTP/1.1 500 Oh\r\nx-odd: " + value + b"\r\ncontent-length: 0\r\n\r\n"
    async with raw_server(answering(answer)) as url:
        attempt = await sent(session, url)

    assert attempt.outcome in (Outcome.HTTP_ERROR, Outcome.NETWORK_ERROR)
    assert await storable(conn, attempt)


async def test_many_headers_are_cut(session: aiohttp.ClientSession, conn: Connection) -> None:
    many = b"".join(b"x-%d: %s\r\n" % (number, b"y" * 2000) for number in range(100))
    answer = b"HTTP/1.1 200 OK\r\n" + many + b"content-length: 0\r\n\r\n"
    async with raw_server(answering(answer)) as url:
        attempt = await sent(session, url)

    assert attempt.outcome is Outcome.DELIVERED
    assert attempt.response_headers is not None
    assert len(attempt.response_headers) == 50
    assert max(map(len, attempt.response_headers.values())) == 1024
    assert await storable(conn, attempt)
