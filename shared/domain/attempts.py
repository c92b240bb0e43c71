"""How one HTTP request ended, and what follows from it.

Pure functions decide both: `outcome_of_status` names the ending, `verdict_of` says what becomes of the delivery.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from random import Random

import msgspec

from shared.domain import durations
from shared.domain.content import Retry
from shared.domain.ids import OccurrenceId


class Outcome(StrEnum):
    """The ending of an attempt."""

    DELIVERED = "delivered"
    HTTP_ERROR = "http_error"
    REDIRECT = "redirect"
    GONE = "gone"
    TIMEOUT = "timeout"
    NETWORK_ERROR = "network_error"
    TLS_ERROR = "tls_error"
    REFUSED = "refused"
    """The address is not one that webhooks may reach."""
    INTERRUPTED = "interrupted"
    """The dispatcher had to stop before the answer came."""
    INVALID_REQUEST = "invalid_request"
    """The request could not even be written."""
    CANNOT_SIGN = "cannot_sign"
    """The event's secret is sealed with a key that this dispatcher does not have; another one, or a later one, may."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """The record of one HTTP request."""

    occurrence_id: OccurrenceId
    epoch: int
    number: int
    started_at: datetime
    duration_ms: int
    outcome: Outcome
    url: str
    status_code: int | None = None
    response_headers: dict[str, str] | None = None
    response_body: str | None = None
    error: str | None = None
    retry_after: timedelta | None = None
    stale: bool = False


class Delivered(msgspec.Struct, frozen=True):
    """The receiver has it."""


class TryAgain(msgspec.Struct, frozen=True):
    """Another attempt is due after `delay`."""

    delay: timedelta


class DeadLetter(msgspec.Struct, frozen=True):
    """No attempt will follow, because of `reason`."""

    reason: str
    disables_event: bool = False


Verdict = Delivered | TryAgain | DeadLetter


def outcome_of_status(status: int) -> Outcome:
    """Judge a response by its HTTP status."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome.DELIVERED
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Outcome.REDIRECT
    return Outcome.GONE if status == HTTPStatus.GONE else Outcome.HTTP_ERROR


def delay_after(attempt: int, retry: Retry, random: Random) -> timedelta:
    """Return how long to wait after failed attempt number `attempt` (the first is 1)."""
    delay = durations.parse(retry.delays[min(attempt, len(retry.delays)) - 1])
    return delay * random.uniform(1 - retry.jitter, 1 + retry.jitter)


def verdict_of(attempt: Attempt, retry: Retry, *, age: timedelta, random: Random, attempts_before: int = 0) -> Verdict:
    """Decide what follows an attempt. `age` is the time since `scheduled_at` at the attempt's end.

    Of a replay, both count anew: `attempts_before` it are no part of its policy, and `age` begins with it.
    """
    number = attempt.number - attempts_before
    match attempt.outcome:
        case Outcome.DELIVERED:
            return Delivered()
        case Outcome.GONE:
            return DeadLetter("gone", disables_event=True)
        case Outcome.REFUSED | Outcome.INVALID_REQUEST:
            return DeadLetter(attempt.outcome.value)
        case (
            Outcome.HTTP_ERROR
            | Outcome.REDIRECT
            | Outcome.TIMEOUT
            | Outcome.NETWORK_ERROR
            | Outcome.TLS_ERROR
            | Outcome.INTERRUPTED
            | Outcome.CANNOT_SIGN
        ):
            if number >= retry.max_attempts:
                return DeadLetter("attempts_exhausted")
            delay = max(delay_after(number, retry, random), attempt.retry_after or timedelta(0))
            if retry.max_age is not None and age + delay > durations.parse(retry.max_age):
                return DeadLetter("max_age")
            return TryAgain(delay)
