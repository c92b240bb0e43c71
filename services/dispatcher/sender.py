"""Make one HTTP request and say how it ended. Whatever the receiver does, the ending is a value.

A 2xx counts as soon as its headers are there, whatever becomes of its body.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

import aiohttp
from yarl import URL

from services.dispatcher.guard import CONNECTS, Connects, Guard
from services.dispatcher.request import WebhookRequest
from shared.domain import attempts
from shared.domain.attempts import Attempt, Outcome
from shared.domain.deliveries import DueDelivery
from shared.settings import Networks

LONGEST_READ = 64 * 1024
LONGEST_STORED = 4 * 1024
LONGEST_BODY_WAIT = 5.0
LONGEST_RETRY_AFTER = timedelta(hours=24)

_UNSTORED_HEADERS = frozenset({"set-cookie"})
_LONGEST_HEADER_VALUE = 1024
_MOST_HEADERS = 50
_ASKS_TO_WAIT = frozenset({429, 503})


class Ending:
    """How a request ended, filled in as it goes."""

    def __init__(self) -> None:
        self.outcome = Outcome.NETWORK_ERROR
        self.status: int | None = None
        self.headers: dict[str, str] | None = None
        self.body: str | None = None
        self.error: str | None = None
        self.retry_after: timedelta | None = None


@asynccontextmanager
async def open_session(allowed: Networks) -> AsyncGenerator[aiohttp.ClientSession]:
    """Yield a session that keeps no cookies, trusts no environment and connects only where it may."""
    connector = aiohttp.TCPConnector(limit=0, socket_factory=Guard(allowed), ttl_dns_cache=10, keepalive_timeout=30)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        # Else aiohttp silently repeats a PUT on a new connection when a kept one breaks: two requests, one record.
        session._retry_connection = False  # pyright: ignore[reportPrivateUsage]
        yield session


async def send(
    session: aiohttp.ClientSession,
    request: WebhookRequest,
    due: DueDelivery,
    *,
    within: timedelta,
    started_at: datetime,
) -> Attempt:
    """Make the request `within` a time, all of it, and return the attempt's record."""
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
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if ending.status is None:
            ending.outcome, ending.error = _judge(error, connects)
        elif ending.outcome is not Outcome.DELIVERED:
            ending.error = _words(error)
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
        response_body=ending.body,
        error=ending.error,
        retry_after=ending.retry_after,
    )


async def _exchange(session: aiohttp.ClientSession, request: WebhookRequest, ending: Ending) -> None:
    async with session.request(
        request.method,
        _url(request.url),
        data=aiohttp.BytesPayload(request.body),
        headers=request.headers,
        allow_redirects=False,
    ) as response:
        ending.status = response.status
        ending.outcome = attempts.outcome_of_status(response.status)
        ending.headers = _storable(response.headers)
        if response.status in _ASKS_TO_WAIT:
            ending.retry_after = retry_after(response.headers.get("Retry-After"), now=datetime.now(UTC))
        if response.content.at_eof():
            ending.body = ""
            return
        async with asyncio.timeout(LONGEST_BODY_WAIT):
            await _read(response, ending)


@lru_cache(maxsize=4096)
def _url(text: str) -> URL:
    return URL(text, encoded=text.isascii())


async def _read(response: aiohttp.ClientResponse, ending: Ending) -> None:
    """Keep the beginning of the body. One that is longer than we read costs the receiver its connection."""
    kept = b""
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        kept += chunk[: LONGEST_STORED - len(kept)]
        if size > LONGEST_READ:
            response.close()
            break
        ending.body = _text(kept)
    ending.body = _text(kept)


def retry_after(value: str | None, *, now: datetime) -> timedelta | None:
    """Read a Retry-After header (RFC 9110 section 10.2.3), up to 24 hours; None when there is none to honour."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        wait = timedelta(seconds=min(int(value), 10**6)) if len(value) < 20 else LONGEST_RETRY_AFTER
    else:
        try:
            wait = parsedate_to_datetime(value) - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(wait, timedelta(0)), LONGEST_RETRY_AFTER)


def _judge(error: Exception, connects: Connects) -> tuple[Outcome, str]:
    if connects.refused and not connects.tried:
        return Outcome.REFUSED, f"{', '.join(sorted(set(connects.refused)))}: not a public address"
    if isinstance(error, aiohttp.ClientSSLError):
        return Outcome.TLS_ERROR, _words(error)
    if isinstance(error, aiohttp.InvalidURL) or not isinstance(error, (aiohttp.ClientError, OSError)):
        return Outcome.INVALID_REQUEST, _words(error)
    return Outcome.NETWORK_ERROR, _words(error)


def _words(error: Exception) -> str:
    return _clean(f"{type(error).__name__}: {error}")[:500]


def _storable(headers: Mapping[str, str]) -> dict[str, str]:
    kept = [(name, value) for name, value in headers.items() if name.lower() not in _UNSTORED_HEADERS]
    return {_clean(name): _clean(value)[:_LONGEST_HEADER_VALUE] for name, value in kept[:_MOST_HEADERS]}


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _clean(text: str) -> str:
    """Replace what PostgreSQL cannot store: NUL, and the surrogates that stand for undecodable bytes."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
