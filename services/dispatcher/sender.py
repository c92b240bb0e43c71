"""Make one HTTP request and say how it ended. Whatever the receiver does, the ending is a value.

A 2xx counts as soon as its headers are there, whatever becomes of its body.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from services.dispatcher import failures, heads, responses
from services.dispatcher.guard import CONNECTS, Connects, Guard
from services.dispatcher.names import Names
from services.dispatcher.request import WebhookRequest
from shared.domain import attempts, headers
from shared.domain.attempts import Attempt, Outcome
from shared.domain.deliveries import DueDelivery
from shared.settings import Networks

LONGEST_READ = 64 * 1024
LONGEST_BODY_WAIT = 5.0

_LONGEST_KEPT = 2 * responses.LONGEST_STORED
"""Holds what is stored of a body, also when it was compressed badly."""
_BUFFER = 16 * 1024
_ASKS_TO_WAIT = frozenset({429, 503})


class Ending:
    """How a request ended, filled in as it goes."""

    def __init__(self) -> None:
        self.outcome = Outcome.NETWORK_ERROR
        self.status: int | None = None
        self.headers: dict[str, str] | None = None
        self.encoding = ""
        self.body = b""
        self.error: str | None = None
        self.retry_after: timedelta | None = None


@asynccontextmanager
async def open_session(
    allowed: Networks, resolver: AbstractResolver | None = None
) -> AsyncGenerator[aiohttp.ClientSession]:
    """Yield a session that keeps no cookies, trusts no environment and connects only where it may.

    A kept connection is used again without another look at its address: it is still the one that was checked.
    """
    names = resolver or Names()
    trust = ssl.create_default_context()
    trust.set_alpn_protocols(["http/1.1"])
    connector = aiohttp.TCPConnector(
        limit=0, ssl=trust, socket_factory=Guard(allowed), resolver=names, ttl_dns_cache=10, keepalive_timeout=30
    )
    heads.install(connector)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None),
        headers={"accept-encoding": "gzip, deflate"},
        auto_decompress=False,
        read_bufsize=_BUFFER,
    ) as session:
        # Else aiohttp silently repeats a PUT on a new connection when a kept one breaks: two requests, one record.
        session._retry_connection = False  # pyright: ignore[reportPrivateUsage]
        try:
            yield session
        finally:
            await names.close()


async def send(
    session: aiohttp.ClientSession,
    request: WebhookRequest,
    due: DueDelivery,
    *,
    within: timedelta,
    started_at: datetime,
) -> Attempt:
    """Make the request `within` a time, all of it, and return the attempt's record.

    Cancelled when the answer's head is there already, it returns the record as well.
    """
    ending = Ending()
    connects = Connects()
    CONNECTS.set(connects)
    begun = time.monotonic()
    try:
        async with asyncio.timeout(within.total_seconds()):
            await _exchange(session, request, ending)
    except TimeoutError:
        if ending.status is None:
            ending.outcome, ending.error = Outcome.TIMEOUT, f"no complete answer within {within.total_seconds():g} s"
        elif ending.outcome is not Outcome.DELIVERED:
            ending.error = "the answer's body did not end in time"
    except asyncio.CancelledError:
        if ending.status is None:
            raise
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if ending.status is None:
            ending.outcome, ending.error = failures.judge(error, connects)
        elif ending.outcome is not Outcome.DELIVERED:
            ending.error = failures.sentence(error)
    return Attempt(
        occurrence_id=due.occurrence_id,
        epoch=due.epoch,
        number=due.attempts + 1,
        started_at=started_at,
        duration_ms=round((time.monotonic() - begun) * 1000),
        outcome=ending.outcome,
        url=request.url,
        status_code=ending.status,
        response_headers=ending.headers,
        response_body=None if ending.status is None else responses.body_text(ending.body, ending.encoding),
        error=ending.error,
        retry_after=ending.retry_after,
    )


async def _exchange(session: aiohttp.ClientSession, request: WebhookRequest, ending: Ending) -> None:
    for name, value in request.own_headers.items():
        if not headers.is_name(name) or not headers.is_value(value) or headers.shapes_the_connection(name):
            raise ValueError("a header of the event may not be sent")
    async with session.request(
        request.method,
        _url(request.url),
        data=aiohttp.BytesPayload(request.body),
        headers=request.headers,
        allow_redirects=False,
    ) as response:
        ending.status = response.status
        ending.outcome = attempts.outcome_of_status(response.status)
        ending.headers = responses.storable_headers(response.headers)
        ending.encoding = response.headers.get("Content-Encoding", "")
        if response.status in _ASKS_TO_WAIT:
            ending.retry_after = responses.retry_after(response.headers.get("Retry-After"), now=datetime.now(UTC))
        if response.content.at_eof():
            return
        async with asyncio.timeout(LONGEST_BODY_WAIT):
            await _read(response, ending)


@lru_cache(maxsize=4096)
def _url(text: str) -> URL:
    return URL(text, encoded=text.isascii())


async def _read(response: aiohttp.ClientResponse, ending: Ending) -> None:
    """Keep the beginning of the body. One that is longer than we read costs the receiver its connection."""
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        ending.body += chunk[: _LONGEST_KEPT - len(ending.body)]
        if size > LONGEST_READ:
            response.close()
            break
