"""What becomes of a request over TLS. The certificates beside these tests were made for them, and end in 2120."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from services.dispatcher import sender
from shared.domain.attempts import Outcome
from tests.integration.dispatcher.sending import LOOPBACK, SHORT, answering, raw_server, sent
from tests.patience import PATIENCE
from tests.receiver import Receiver

CERTIFICATES = Path(__file__).parent / "certificates"
AUTHORITY = CERTIFICATES / "authority.pem"
OK = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", then_wait=True)


def identity(name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{name}.pem", CERTIFICATES / "key.pem")
    return context


@pytest_asyncio.fixture
async def trusting(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[aiohttp.ClientSession]:
    """A session that trusts the tests' authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    async with sender.open_session(LOOPBACK) as session:
        yield session


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
async def test_a_certificate_for_the_host_by_a_trusted_authority_is_accepted(
    trusting: aiohttp.ClientSession, host: str
) -> None:
    async with raw_server(OK, tls=identity("good")) as url:
        attempt = await sent(trusting, url.replace("127.0.0.1", host))

    assert (attempt.outcome, attempt.error) == (Outcome.DELIVERED, None)


@pytest.mark.parametrize(
    ("certificate", "why"),
    [("expired", "certificate has expired"), ("other_host", "IP address mismatch"), ("self_signed", "self-signed")],
)
async def test_a_certificate_that_proves_nothing_is_a_tls_error(
    trusting: aiohttp.ClientSession, certificate: str, why: str
) -> None:
    async with raw_server(OK, tls=identity(certificate)) as url:
        attempt = await sent(trusting, url)

    assert (attempt.outcome, attempt.status_code) == (Outcome.TLS_ERROR, None)
    assert attempt.error is not None
    assert attempt.error.startswith("the certificate is not accepted: ")
    assert why in attempt.error


async def test_an_authority_that_nobody_knows_is_a_tls_error(session: aiohttp.ClientSession) -> None:
    async with raw_server(OK, tls=identity("good")) as url:
        assert (await sent(session, url)).outcome is Outcome.TLS_ERROR


async def test_tls_to_a_plain_port_is_a_tls_error(session: aiohttp.ClientSession, receiver: Receiver) -> None:
    attempt = await sent(session, receiver.url().replace("http:", "https:"))

    assert attempt.outcome is Outcome.TLS_ERROR
    assert attempt.error is not None
    assert attempt.error.startswith("no TLS connection: ")
    assert receiver.requests == []


async def test_a_plain_request_to_a_tls_port_is_a_network_error(session: aiohttp.ClientSession) -> None:
    async with raw_server(OK, tls=identity("good")) as url:
        attempt = await sent(session, url.replace("https:", "http:"))

    assert (attempt.outcome, attempt.status_code) == (Outcome.NETWORK_ERROR, None)


async def test_a_receiver_that_wants_our_certificate_is_a_tls_error(trusting: aiohttp.ClientSession) -> None:
    asking = identity("good")
    asking.maximum_version = ssl.TLSVersion.TLSv1_2  # a later one is refused after the handshake, in a race
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_verify_locations(AUTHORITY)

    def refuse_one(server: socket.socket) -> None:
        """Unlike asyncio's, a blocking server says why it ends the handshake; it waits until that was heard."""
        connection, _ = server.accept()
        tls = asking.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with tls, contextlib.suppress(OSError):
            with contextlib.suppress(ssl.SSLError):
                tls.do_handshake()
            while os.read(tls.fileno(), 4096):
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        refusing = asyncio.create_task(asyncio.to_thread(refuse_one, server))
        attempt = await sent(trusting, f"https://127.0.0.1:{server.getsockname()[1]}/")
        await refusing

    assert (attempt.outcome, attempt.status_code) == (Outcome.TLS_ERROR, None)
    assert attempt.error is not None
    assert "alert" in attempt.error


async def test_a_handshake_that_never_ends_is_a_timeout(session: aiohttp.ClientSession) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(silent) as url:
        attempt = await sent(session, url.replace("http:", "https:"), within=SHORT)

    assert attempt.outcome is Outcome.TIMEOUT
