"""Say why a request came to no answer: an outcome, and a short sentence in words of our own.

Nothing that the receiver sent goes into the sentence: it may hold a secret, and it may hold anything.
"""

from __future__ import annotations

import re
import ssl

import aiohttp

from services.dispatcher.guard import Connects
from services.dispatcher.responses import storable
from shared.domain.attempts import Outcome

_LONGEST_SENTENCE = 300
_FAULT = re.compile(r"[\w -]*(?![\w'\"])")
"""How far a parser's message is its own; what follows quotes the answer."""


def judge(error: Exception, connects: Connects) -> tuple[Outcome, str]:
    """Return the outcome of a request that ended with `error` before a status came, and a sentence about it."""
    if connects.refused and not connects.tried:
        addresses = ", ".join(sorted(set(connects.refused))[:5])
        return Outcome.REFUSED, f"not a public address: {addresses}"
    if isinstance(error, aiohttp.ClientSSLError) or isinstance(error.__cause__, ssl.SSLError):
        return Outcome.TLS_ERROR, sentence(error)
    if isinstance(error, aiohttp.InvalidURL) or not isinstance(error, (aiohttp.ClientError, OSError)):
        return Outcome.INVALID_REQUEST, sentence(error)
    return Outcome.NETWORK_ERROR, sentence(error)


def sentence(error: Exception) -> str:
    """Return what `error` means, without the answer's own words."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            words = f"the certificate is not accepted: {_reason(error.certificate_error)}"
        case aiohttp.ClientConnectorDNSError():
            words = f"the host name cannot be resolved: {_reason(error.os_error)}"
        case aiohttp.ClientSSLError():
            words = f"no TLS connection: {_reason(error.os_error)}"
        case aiohttp.ClientConnectorError():
            words = f"no connection: {_reason(error.os_error)}"
        case aiohttp.ServerDisconnectedError():
            words = "the connection was closed before an answer came"
        case aiohttp.ClientResponseError():
            words = f"the answer is not valid HTTP: {_fault(error.message)}"
        case aiohttp.ClientPayloadError():
            words = "the answer's body broke off or is not valid HTTP"
        case aiohttp.InvalidURL():
            words = f"the URL cannot be called: {error.description or 'it is not valid'}"
        case aiohttp.ClientError() | OSError():
            words = f"the connection broke: {_reason(error.__cause__ or error)}"
        case _:
            words = f"the request cannot be written: {error}"
    return storable(words)[:_LONGEST_SENTENCE]


def _reason(error: BaseException) -> str:
    """Return the shortest words that an error of the system or of OpenSSL has for itself."""
    of_openssl = (
        getattr(error, "verify_message", "") or str(getattr(error, "reason", None) or "").replace("_", " ").lower()
    )
    return of_openssl or getattr(error, "strerror", None) or str(error) or type(error).__name__


def _fault(message: str) -> str:
    found = _FAULT.match(message)
    return (found and found[0].strip().lower()) or "it cannot be read"
