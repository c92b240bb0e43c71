"""Destinations of webhooks (scheme, host and port), their health, and the circuit breaker's decisions about it.

Failures are weighed by what they hold up: a request without an answer keeps a place for seconds, a 500 does not. Any
answer that is no failure forgets them all.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from random import Random
from typing import NewType
from urllib.parse import urlsplit

import msgspec

from shared.domain.attempts import Attempt, Outcome

DestinationId = NewType("DestinationId", int)
"""A hash of the origin: 63 bits."""

NOWHERE = DestinationId(0)
"""Of a delivery that was planned before destinations were told apart."""
TRIPS_AT = 50
"""The weight of failures in a row that blocks a destination: 10 without an answer, or 50 with a bad one."""
_UNANSWERED, _BAD_ANSWER = 5, 1
_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(minutes=5)
_PORTS = {"http": 80, "https": 443}
_TOO_MANY_REQUESTS, _SERVER_ERROR, _UNAVAILABLE = 429, 500, 503


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a destination that does not answer well. Of one that does, nothing is known."""

    failures: int = 0
    trips: int = 0
    blocked_until: datetime | None = None
    probing: bool = False


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What came of some attempts in a row."""

    origin: str
    failures: int
    """Weighed, since the last answer."""
    answered: bool
    retry_after: timedelta | None = None


@lru_cache(maxsize=8192)
def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL in one form; of one that is none, all of it."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return url
    return f"{parts.scheme}://{parts.hostname or ''}:{port}"


@lru_cache(maxsize=8192)
def destination_of(url: str) -> DestinationId:
    """Return which destination a URL belongs to."""
    return DestinationId(int.from_bytes(blake2b(origin_of(url).encode(), digest_size=8).digest()) >> 1)


def weight_of(attempt: Attempt) -> int:
    """Return how much an attempt speaks against its destination; 0 for one that was answered well, or not even made."""
    match attempt.outcome:
        case Outcome.TIMEOUT | Outcome.NETWORK_ERROR | Outcome.TLS_ERROR:
            return _UNANSWERED
        case _:
            status = attempt.status_code or 0
            return _BAD_ANSWER if status >= _SERVER_ERROR or status == _TOO_MANY_REQUESTS else 0


def is_answered(attempt: Attempt) -> bool | None:
    """Tell whether a destination answers so that it may be sent more at once; None where it was not even asked."""
    if attempt.status_code is not None:
        return attempt.status_code not in (_TOO_MANY_REQUESTS, _UNAVAILABLE)
    return False if weight_of(attempt) else None


def tally(attempts: Iterable[Attempt]) -> dict[DestinationId, Tally]:
    """Sum up attempts by destination, those that were answered well included."""
    found: dict[DestinationId, Tally] = {}
    for attempt in attempts:
        weight = weight_of(attempt)
        if not weight and attempt.status_code is None:
            continue
        id_ = destination_of(attempt.url)
        before = found.get(id_) or Tally(origin=origin_of(attempt.url), failures=0, answered=False)
        found[id_] = msgspec.structs.replace(
            before,
            failures=before.failures + weight if weight else 0,
            answered=before.answered or not weight,
            retry_after=attempt.retry_after or before.retry_after,
        )
    return found


def health_after(health: Health, tally: Tally, *, now: datetime) -> Health | None:
    """Return what is known of a destination after more attempts; None when all is well.

    While it is blocked, failures of requests that were under way do not count, except that of the probe.
    """
    if tally.answered:
        health = Health()
    failures = health.failures + tally.failures
    if tally.retry_after:
        block = None if health.probing else health.blocked_until
        until = max(now + tally.retry_after, block or now)
        return Health(failures=failures, trips=health.trips, blocked_until=until)
    if not tally.failures:
        return None
    is_blocked = health.blocked_until is not None and health.blocked_until > now
    if failures < TRIPS_AT or (is_blocked and not health.probing):
        return msgspec.structs.replace(health, failures=failures)
    return Health(failures=failures, trips=health.trips + 1, blocked_until=now + pause_of(health.trips + 1))


def pause_of(trips: int) -> timedelta:
    """Return for how long a destination is left alone when it is blocked once more: 5 s, doubled up to 5 minutes."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(trips - 1, 10))


def time_to_come_back(blocked_until: datetime, *, now: datetime, random: Random) -> timedelta:
    """Return how long a delivery waits for a blocked destination: until it is free, and not all at the same instant."""
    wait = max(blocked_until - now, timedelta(0))
    return wait + min(max(wait / 2, timedelta(seconds=1)), timedelta(minutes=1)) * random.random()
