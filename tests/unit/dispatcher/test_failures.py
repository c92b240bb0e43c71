from __future__ import annotations

import errno
import os
import ssl

import aiohttp
import pytest

from services.dispatcher import failures
from services.dispatcher.guard import Connects
from shared.domain.attempts import Outcome


def connects(*refused: str, tried: int = 0) -> Connects:
    found = Connects()
    found.refused.extend(refused)
    found.tried = tried
    return found


def test_only_refused_addresses_are_a_refusal() -> None:
    error = OSError("whatever")

    assert failures.judge(error, connects("10.0.0.1", "::1", "10.0.0.1")) == (
        Outcome.REFUSED,
        "not a public address: 10.0.0.1, ::1",
    )
    assert failures.judge(error, connects("10.0.0.1", tried=1))[0] is Outcome.NETWORK_ERROR


@pytest.mark.parametrize(
    ("error", "outcome", "words"),
    [
        (aiohttp.ServerDisconnectedError(), Outcome.NETWORK_ERROR, "the connection was closed before an answer came"),
        (
            aiohttp.ClientOSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)),
            Outcome.NETWORK_ERROR,
            "the connection broke: Connection reset by peer",
        ),
        (ConnectionResetError(), Outcome.NETWORK_ERROR, "the connection broke: ConnectionResetError"),
        (aiohttp.InvalidURL("http://secret/"), Outcome.INVALID_REQUEST, "the URL cannot be called: it is not valid"),
        (ValueError("port out of range"), Outcome.INVALID_REQUEST, "the request cannot be written: port out of range"),
        (
            aiohttp.ClientPayloadError("b'secret'"),
            Outcome.NETWORK_ERROR,
            "the answer's body broke off or is not valid HTTP",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_is_told_in_a_short_sentence(error: Exception, outcome: Outcome, words: str) -> None:
    assert failures.judge(error, connects(tried=1)) == (outcome, words)


def test_a_connection_that_tls_ended_is_told_by_that_and_not_by_what_was_being_written() -> None:
    error = aiohttp.ClientOSError(None, "Can not write request body for http://receiver.example/?secret")
    error.__cause__ = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] whatever")

    outcome, words = failures.judge(error, connects(tried=1))

    assert outcome is Outcome.TLS_ERROR
    assert words.startswith("the connection broke: ")
    assert "secret" not in words
