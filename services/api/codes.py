"""The words by which a client tells problems apart, and what each means.

They are stable: new ones may come, none is renamed.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

SCHEDULE = ("invalid_schedule", "empty_recurrence", "interval_too_short", "no_future_occurrence")
"""Of a body in which nothing but the schedule is wrong."""
CONTENT = ("out_of_scope", "already_exists", "quota_exceeded", *SCHEDULE)
"""Of a body that says what an event is to be."""

CODES: dict[HTTPStatus, dict[str, str]] = {
    HTTPStatus.BAD_REQUEST: {
        "malformed_request": "The body is not JSON, or the request line or a header cannot be read.",
    },
    HTTPStatus.UNAUTHORIZED: {
        "unauthenticated": "The token is missing, malformed, expired or revoked.",
    },
    HTTPStatus.FORBIDDEN: {
        "forbidden": "The token's access does not allow this.",
        "out_of_scope": "The event would carry no tag that the token's scope matches.",
        "quota_exceeded": "The `sub` has as many active events as it may have.",
    },
    HTTPStatus.NOT_FOUND: {
        "event_not_found": "There is no such event in the token's sight.",
        "occurrence_not_found": "There is no such occurrence in the token's sight.",
        "route_not_found": "There is nothing under this path.",
        "token_not_found": "There is no such token.",
        "version_not_found": "The event has no such version.",
    },
    HTTPStatus.METHOD_NOT_ALLOWED: {
        "method_not_allowed": "The path does not know this method.",
    },
    HTTPStatus.REQUEST_TIMEOUT: {
        "request_timeout": "The body did not come in time.",
    },
    HTTPStatus.CONFLICT: {
        "already_exists": "The caller has another live event with this `external_id`.",
        "attempt_begun": "An attempt for the occurrence has begun.",
        "event_completed": "The event is completed.",
        "event_deleted": "The event is deleted.",
        "event_disabled": "The event is disabled; resume it first.",
        "event_not_active": "The event is neither active nor paused.",
        "idempotency_key_in_use": "A request with this Idempotency-Key is still running.",
        "occurrence_due": "The occurrence is due already, or over.",
        "occurrence_finished": "The occurrence is finished.",
        "occurrence_unfinished": "The occurrence is not finished.",
        "too_many_overrides": "The event has as many overrides as it may have.",
    },
    HTTPStatus.PRECONDITION_FAILED: {
        "precondition_failed": "`If-Match` names another version than the current one.",
    },
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: {
        "body_too_large": "The body is larger than 1 MiB.",
    },
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: {
        "unsupported_media_type": "The body does not say that it is JSON.",
    },
    HTTPStatus.UNPROCESSABLE_ENTITY: {
        "validation_failed": "A field or parameter breaks a rule; `errors` names each one.",
        "invalid_schedule": "The schedule or its time zone cannot be honoured.",
        "empty_recurrence": "The schedule never comes to an occurrence.",
        "interval_too_short": "The schedule's occurrences come too close to each other.",
        "no_future_occurrence": "No occurrence of the schedule is left to come.",
        "idempotency_key_reused": "This Idempotency-Key came with another request before.",
    },
    HTTPStatus.TOO_MANY_REQUESTS: {
        "rate_limited": "The token or the address has made too many requests.",
        "quota_exceeded": "The token's `sub`, or the delivery chain, has created too many events of late.",
    },
    HTTPStatus.INTERNAL_SERVER_ERROR: {
        "internal_error": "The service failed; the request id helps to find out why.",
    },
    HTTPStatus.SERVICE_UNAVAILABLE: {
        "unavailable": "PostgreSQL is out of reach, or there was no answer in time.",
    },
}


def by_status(words: Iterable[str]) -> dict[HTTPStatus, list[str]]:
    """Return the words that stand for each status, of those that are given; KeyError for one that is unknown."""
    wanted = set(words)
    unknown = wanted - {word for meanings in CODES.values() for word in meanings}
    if unknown:
        raise KeyError(*sorted(unknown))
    found = {status: [word for word in meanings if word in wanted] for status, meanings in CODES.items()}
    return {status: words for status, words in found.items() if words}
