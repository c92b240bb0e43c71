from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from services.dispatcher import sender
from services.dispatcher.request import request_of
from shared.domain.attempts import Attempt, Outcome
from shared.domain.content import Method
from shared.settings import Networks
from shared.store import attempts
from shared.store.pool import Connection
from tests.factories import HOUR, NOON, SECOND, content_of, due_of, event_of
from tests.receiver import Receiver

LOOPBACK: Networks = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
LONG = timedelta(seconds=20)
SHORT = timedelta(milliseconds=150)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest_asyncio.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    """A session that may reach loopback."""
    async with sender.open_session(LOOPBACK) as session:
        yield session


@pytest_asyncio.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


async def sent(
    session: aiohttp.ClientSession, url: str, *, within: timedelta = LONG, method: Method = "POST"
) -> Attempt:
    event = event_of(msgspec.structs.replace(content_of(url=url), method=method))
    due = due_of(event)
    request = request_of(due, now=NOON, secrets=["the secret of all"])
    return await sender.send(session, request, due, within=within, started_at=NOON)


@asynccontextmanager
async def raw_server(serve: Serve) -> AsyncGenerator[str]:
    """Serve connections by hand and yield the address; whatever still runs at the end is cut off."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(answer: bytes) -> Serve:
    """Read a request's head, say `answer`, close."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return serve


async def storable(conn: Connection, attempt: Attempt) -> bool:
    """Tell whether an attempt comes back from the database as it went in."""
    await attempts.record(conn, [attempt])
    stored = await attempts.of_occurrence(conn, attempt.occurrence_id, before=None, limit=1)
    return stored == [msgspec.structs.replace(attempt, retry_after=None)]


class TestAnswers:
    @pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
    async def test_2xx_is_delivered(self, session: aiohttp.ClientSession, receiver: Receiver, status: int) -> None:
        receiver.answer(status)

        attempt = await sent(session, receiver.url())

        assert (attempt.outcome, attempt.status_code, attempt.error) == (Outcome.DELIVERED, status, None)
        assert (attempt.number, attempt.started_at, attempt.url) == (1, NOON, receiver.url())

    async def test_the_receiver_gets_the_request_as_it_was_signed(
        self, session: aiohttp.ClientSession, receiver: Receiver
    ) -> None:
        due = due_of(event_of(content_of(url=receiver.url("/a%20b?x=1&y=%20"))))
        request = request_of(due, now=NOON, secrets=["the secret of all"])

        await sender.send(session, request, due, within=LONG, started_at=NOON)

        [got] = receiver.requests
        assert (got.method, got.path, got.body) == ("POST", "/a%20b?x=1&y=%20", request.body)
        assert request.headers.items() <= got.headers.items()

    @pytest.mark.parametrize(
        "path",
        [
            "/?y=%2F", "/?x=%41", "/?q=%C3%A9", "/?sig=a%3Db%26c", "/?a=b+c", "/?a=%2B", "/?x=%3A%40", "/?x=a;b",
            "/?u=http%3A%2F%2Fx%2F", "/a%2Fb", "/a%2fb", "/%7Ex", "/a/../b", "/a/./b", "/a//b/../c", "/a/b/..", "/",
        ],
    )  # fmt: skip
    async def test_the_url_on_the_wire_is_the_one_that_was_given(
        self, session: aiohttp.ClientSession, receiver: Receiver, path: str
    ) -> None:
        attempt = await sent(session, receiver.url(path))

        assert attempt.outcome is Outcome.DELIVERED
        assert [request.path for request in receiver.requests] == [path]

    async def test_what_is_not_ascii_is_encoded_on_the_wire(
        self, session: aiohttp.ClientSession, receiver: Receiver
    ) -> None:
        await sent(session, receiver.url("/é?q=ü"))

        assert [request.path for request in receiver.requests] == ["/%C3%A9?q=%C3%BC"]

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
    async def test_the_method_is_the_events(
        self, session: aiohttp.ClientSession, receiver: Receiver, method: Method
    ) -> None:
        await sent(session, receiver.url(), method=method)

        assert [request.method for request in receiver.requests] == [method]

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_a_redirect_is_not_followed(
        self, session: aiohttp.ClientSession, receiver: Receiver, status: int
    ) -> None:
        receiver.answer(status, headers={"location": receiver.url("/elsewhere")})

        attempt = await sent(session, receiver.url())

        assert (attempt.outcome, attempt.status_code) == (Outcome.REDIRECT, status)
        assert [request.path for request in receiver.requests] == ["/hook"]

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [(410, Outcome.GONE), (400, Outcome.HTTP_ERROR), (404, Outcome.HTTP_ERROR), (500, Outcome.HTTP_ERROR)],
    )
    async def test_a_refusal_is_told_by_its_status(
        self, session: aiohttp.ClientSession, receiver: Receiver, status: int, outcome: Outcome
    ) -> None:
        receiver.answer(status, body=b"because", headers={"x-why": "because"})

        attempt = await sent(session, receiver.url())

        assert (attempt.outcome, attempt.status_code, attempt.response_body) == (outcome, status, "because")
        assert attempt.response_headers is not None
        assert attempt.response_headers["x-why"] == "because"

    @pytest.mark.parametrize(("status", "honoured"), [(429, True), (503, True), (500, False), (200, False)])
    async def test_retry_after_is_honoured_where_it_asks_to_wait(
        self, session: aiohttp.ClientSession, receiver: Receiver, status: int, honoured: bool
    ) -> None:
        receiver.answer(status, headers={"retry-after": "3600"})

        attempt = await sent(session, receiver.url())

        assert attempt.retry_after == (HOUR if honoured else None)

    async def test_cookies_are_neither_kept_nor_stored(
        self, session: aiohttp.ClientSession, receiver: Receiver
    ) -> None:
        receiver.answer(200, headers={"set-cookie": "session=secret; Path=/"})

        attempt = await sent(session, receiver.url())
        await sent(session, receiver.url())

        assert attempt.response_headers is not None
        assert not any("secret" in value for value in attempt.response_headers.values())
        assert "cookie" not in receiver.requests[1].headers

    async def test_the_first_4_kib_of_a_body_are_kept(self, session: aiohttp.ClientSession, receiver: Receiver) -> None:
        receiver.answer(500, body=b"a" * 4096 + b"b")

        assert (await sent(session, receiver.url())).response_body == "a" * 4096


class TestTrouble:
    async def test_an_answer_that_takes_too_long_is_a_timeout(self, session: aiohttp.ClientSession) -> None:
        async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        async with raw_server(silent) as url:
            attempt = await sent(session, url, within=SHORT)

        assert (attempt.outcome, attempt.status_code) == (Outcome.TIMEOUT, None)
        assert 150 <= attempt.duration_ms < 5000
        assert attempt.error is not None

    async def test_a_refused_connection_is_a_network_error(self, session: aiohttp.ClientSession) -> None:
        async with raw_server(answering(b"")) as url:
            pass

        attempt = await sent(session, url)

        assert (attempt.outcome, attempt.status_code) == (Outcome.NETWORK_ERROR, None)
        assert attempt.error is not None

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"HTTP/1.1 200",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n",
            b"HTTP/1.1 99999 Odd\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
            b"\0" * 1000,
        ],
    )
    async def test_what_is_no_answer_is_a_network_error(
        self, session: aiohttp.ClientSession, conn: Connection, answer: bytes
    ) -> None:
        async with raw_server(answering(answer)) as url:
            attempt = await sent(session, url)

        assert (attempt.outcome, attempt.status_code) == (Outcome.NETWORK_ERROR, None)
        assert attempt.error is not None
        assert len(attempt.error) <= 500
        assert await storable(conn, attempt)

    async def test_a_name_that_does_not_exist_is_a_network_error(self, session: aiohttp.ClientSession) -> None:
        attempt = await sent(session, "http://nobody.invalid/")

        assert attempt.outcome is Outcome.NETWORK_ERROR

    async def test_tls_to_a_plain_port_is_a_tls_error(self, session: aiohttp.ClientSession, receiver: Receiver) -> None:
        attempt = await sent(session, receiver.url().replace("http:", "https:"))

        assert attempt.outcome is Outcome.TLS_ERROR
        assert receiver.requests == []

    @pytest.mark.parametrize("url", ["http://", "http://[::1/", "http://127.0.0.1:99999/"])
    async def test_an_address_that_is_none_is_an_invalid_request(
        self, session: aiohttp.ClientSession, url: str
    ) -> None:
        assert (await sent(session, url)).outcome is Outcome.INVALID_REQUEST

    async def test_headers_that_cannot_be_written_are_an_invalid_request(
        self, session: aiohttp.ClientSession, receiver: Receiver
    ) -> None:
        due = due_of(event_of(content_of(url=receiver.url())))
        request = request_of(due, now=NOON, secrets=["the secret of all"])
        broken = msgspec.structs.replace(request, headers={**request.headers, "x-broken": "a\r\nx-forged: b"})

        attempt = await sender.send(session, broken, due, within=LONG, started_at=NOON)

        assert attempt.outcome is Outcome.INVALID_REQUEST
        assert receiver.requests == []

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
    async def test_nothing_is_sent_again_when_a_kept_connection_breaks(
        self, session: aiohttp.ClientSession, method: Method
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
        self, session: aiohttp.ClientSession, receiver: Receiver
    ) -> None:
        async with raw_server(answering(b"")) as url:
            await sent(session, url)

        assert (await sent(session, receiver.url())).outcome is Outcome.DELIVERED


class TestBodies:
    async def test_a_2xx_that_breaks_off_is_delivered(self, session: aiohttp.ClientSession) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"
        async with raw_server(answering(head)) as url:
            attempt = await sent(session, url)

        assert (attempt.outcome, attempt.status_code) == (Outcome.DELIVERED, 200)
        assert attempt.response_body in (None, "only this")

    async def test_a_2xx_whose_body_never_ends_is_delivered_in_time(self, session: aiohttp.ClientSession) -> None:
        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")
            await reader.read()

        async with raw_server(hang) as url:
            attempt = await sent(session, url, within=SHORT)

        assert (attempt.outcome, attempt.response_body) == (Outcome.DELIVERED, "only this")

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [(b"410 Gone", Outcome.GONE), (b"500 Oh", Outcome.HTTP_ERROR), (b"302 Found", Outcome.REDIRECT)],
    )
    async def test_the_status_decides_also_when_the_body_never_ends(
        self, session: aiohttp.ClientSession, status: bytes, outcome: Outcome
    ) -> None:
        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 100\r\n\r\nonly this")
            await reader.read()

        async with raw_server(hang) as url:
            attempt = await sent(session, url, within=SHORT)

        assert (attempt.outcome, attempt.response_body) == (outcome, "only this")

    async def test_a_500_that_breaks_off_is_an_http_error(self, session: aiohttp.ClientSession) -> None:
        head = b"HTTP/1.1 500 Oh\r\ncontent-length: 100\r\n\r\nonly this"
        async with raw_server(answering(head)) as url:
            attempt = await sent(session, url)

        assert (attempt.outcome, attempt.status_code) == (Outcome.HTTP_ERROR, 500)

    @pytest.mark.parametrize("status", [b"200 OK", b"500 Oh"])
    async def test_an_endless_body_costs_the_receiver_its_connection(
        self, session: aiohttp.ClientSession, status: bytes
    ) -> None:
        closed = asyncio.Event()

        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 " + status + b"\r\ntransfer-encoding: chunked\r\n\r\n")
            try:
                while True:
                    writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
                    await writer.drain()
            except ConnectionError:
                closed.set()

        async with raw_server(flood) as url:
            attempt = await sent(session, url)
            await asyncio.wait_for(closed.wait(), 5)

        assert attempt.status_code == int(status[:3])
        assert attempt.outcome is (Outcome.DELIVERED if attempt.status_code == 200 else Outcome.HTTP_ERROR)
        assert attempt.response_body == "x" * 4096
        assert attempt.duration_ms < 5000

    async def test_a_compressed_bomb_is_read_no_further_than_64_kib(self, session: aiohttp.ClientSession) -> None:
        bomb = gzip.compress(b"x" * 50_000_000, 9)

        async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb) * 1000}\r\n\r\n"
            writer.write(head.encode())
            try:
                while True:
                    writer.write(bomb)
                    await writer.drain()
            except ConnectionError:
                pass

        async with raw_server(drop) as url:
            attempt = await sent(session, url)

        assert attempt.outcome is Outcome.DELIVERED
        assert attempt.response_body == "x" * 4096
        assert attempt.duration_ms < 5000

    async def test_a_body_that_is_not_what_its_encoding_says_is_delivered(self, session: aiohttp.ClientSession) -> None:
        answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9\r\n\r\nnot gzip!"
        async with raw_server(answering(answer)) as url:
            assert (await sent(session, url)).outcome is Outcome.DELIVERED

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
        self, session: aiohttp.ClientSession, receiver: Receiver, conn: Connection, body: bytes, kept: str
    ) -> None:
        receiver.answer(500, body=body)

        attempt = await sent(session, receiver.url())

        assert attempt.response_body == kept
        assert await storable(conn, attempt)

    @pytest.mark.parametrize("value", [b"caf\xe9", b"\xff\xfe", "ä🌱".encode(), b"\xed\xa0\x80", b"\x7f", b"x" * 5000])
    async def test_any_header_can_be_stored(
        self, session: aiohttp.ClientSession, conn: Connection, value: bytes
    ) -> None:
        answer = b"HTTP/1.1 500 Oh\r\nx-odd: " + value + b"\r\ncontent-length: 0\r\n\r\n"
        async with raw_server(answering(answer)) as url:
            attempt = await sent(session, url)

        assert attempt.outcome in (Outcome.HTTP_ERROR, Outcome.NETWORK_ERROR)
        assert await storable(conn, attempt)

    async def test_many_headers_are_cut(self, session: aiohttp.ClientSession, conn: Connection) -> None:
        many = b"".join(b"x-%d: %s\r\n" % (number, b"y" * 2000) for number in range(100))
        answer = b"HTTP/1.1 200 OK\r\n" + many + b"content-length: 0\r\n\r\n"
        async with raw_server(answering(answer)) as url:
            attempt = await sent(session, url)

        assert attempt.outcome is Outcome.DELIVERED
        assert attempt.response_headers is not None
        assert len(attempt.response_headers) == 50
        assert max(map(len, attempt.response_headers.values())) == 1024
        assert await storable(conn, attempt)


class TestEgress:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "0x7f000001"]
    )
    async def test_loopback_is_refused_by_whatever_name(self, receiver: Receiver, host: str) -> None:
        async with sender.open_session(()) as session:
            attempt = await sent(session, receiver.url().replace("127.0.0.1", host))

        assert attempt.outcome is Outcome.REFUSED
        assert attempt.error is not None
        assert "not a public address" in attempt.error
        assert receiver.requests == []

    @pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "LOCALHOST"])
    async def test_an_odd_spelling_of_loopback_reaches_nobody(self, receiver: Receiver, host: str) -> None:
        async with sender.open_session(()) as session:
            attempt = await sent(session, receiver.url().replace("127.0.0.1", host))

        assert attempt.outcome in (Outcome.REFUSED, Outcome.INVALID_REQUEST)
        assert receiver.requests == []

    @pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "100.64.0.1", "[fd00::1]", "[64:ff9b::a00:1]"])
    async def test_a_private_address_is_refused_before_any_packet(self, address: str) -> None:
        async with sender.open_session(()) as session:
            attempt = await sent(session, f"http://{address}:9/", within=5 * SECOND)

        assert attempt.outcome is Outcome.REFUSED

    async def test_a_name_is_refused_by_the_address_behind_it(self, receiver: Receiver) -> None:
        other = (ip_network("10.0.0.0/8"),)
        async with sender.open_session(other) as session:
            attempt = await sent(session, receiver.url().replace("127.0.0.1", "localhost"))

        assert (attempt.outcome, receiver.requests) == (Outcome.REFUSED, [])

    async def test_an_allowed_network_can_be_reached_by_name(
        self, session: aiohttp.ClientSession, receiver: Receiver
    ) -> None:
        attempt = await sent(session, receiver.url().replace("127.0.0.1", "localhost"))

        assert attempt.outcome is Outcome.DELIVERED

    async def test_a_redirect_to_loopback_reaches_nobody(
        self, session: aiohttp.ClientSession, receiver: Receiver
    ) -> None:
        async with Receiver() as inside:
            receiver.answer(307, headers={"location": inside.url()})

            assert (await sent(session, receiver.url())).outcome is Outcome.REDIRECT

            assert inside.requests == []

    async def test_the_proxy_of_the_environment_is_not_trusted(
        self, session: aiohttp.ClientSession, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

        assert (await sent(session, receiver.url())).outcome is Outcome.DELIVERED
