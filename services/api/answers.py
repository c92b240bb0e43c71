"""What clients get: events, occurrences, attempts and tokens as the contract shows them."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from shared import planning, recurrence
from shared.domain.attempts import Attempt
from shared.domain.content import Content, DstGap, Json, Method, Misfire, Overlap, Retry
from shared.domain.deliveries import Occurrence
from shared.domain.events import Event, EventStatus
from shared.domain.ids import EventId, occurrence_id_of
from shared.domain.overrides import StoredOverride
from shared.domain.tokens import Access, Token
from shared.recurrence import Overridden, Series
from shared.store.versions import Version

T = TypeVar("T")
UPCOMING_SHOWN = 5


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A page of a list."""

    data: list[T]
    next_cursor: str | None = None


class UpcomingOccurrence(msgspec.Struct, frozen=True, kw_only=True):
    """An instant that the event's timing will come to."""

    recurrence_id: str
    scheduled_at: datetime
    local: datetime
    occurrence_id: UUID | None
    flags: tuple[str, ...]


class EventAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An event."""

    id: UUID
    name: str
    description: str
    external_id: str | None
    start_time: datetime
    timezone: str
    schedule: str | None
    rdates: tuple[datetime, ...]
    exdates: tuple[datetime, ...]
    dst_gap: DstGap
    webhook_url: str
    method: Method
    headers: dict[str, str]
    body: Json
    timeout: str
    retry: Retry
    expires_after: str | None
    misfire: Misfire
    overlap: Overlap
    has_hmac_secret: bool
    tags: tuple[str, ...]
    metadata: dict[str, Json]
    status: EventStatus
    status_reason: str | None
    version: int
    created_by: str
    created_at: datetime
    updated_at: datetime
    next_at: datetime | None
    upcoming: list[UpcomingOccurrence]
    summary: str
    warnings: list[str]
    similar_events: list[EventId] | UnsetType = UNSET
    """When it was created: events of the same creator with the same name, rule and URL, the newest first."""


class EventsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Events that were created, in the order in which they were sent."""

    data: list[EventAnswer]


class VersionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A change of an event."""

    version: int
    changed_at: datetime
    changed_by: str
    change: str
    fields: list[str]
    """The names of those that it changed."""


class EventVersionAnswer(VersionAnswer, frozen=True, kw_only=True):
    """An event as it was."""

    id: UUID
    name: str
    description: str
    external_id: str | None
    start_time: datetime
    timezone: str
    schedule: str | None
    rdates: tuple[datetime, ...]
    exdates: tuple[datetime, ...]
    dst_gap: DstGap
    webhook_url: str
    method: Method
    headers: dict[str, str]
    body: Json
    timeout: str
    retry: Retry
    expires_after: str | None
    misfire: Misfire
    overlap: Overlap
    tags: tuple[str, ...]
    metadata: dict[str, Json]
    created_by: str
    created_at: datetime
    summary: str


class SecretAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A secret was replaced."""

    hmac_secret: str | UnsetType = UNSET
    """The new one, shown this once, when the service made it."""
    previous_valid_until: datetime
    """Until then the one before it signs as well."""


class PreviewAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a timing would come to."""

    schedule: str | None
    summary: str
    occurrences: list[UpcomingOccurrence]
    total: int | None
    """How many there would be in all; null when there is no end."""
    warnings: list[str]


class OverrideAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is changed about one occurrence."""

    recurrence_id: str
    original_at: datetime
    excluded: bool
    scheduled_at: datetime | None
    """The new time; null when the occurrence keeps its own, or is left out."""
    metadata: dict[str, Json] | None
    webhook_url: str | None
    created_at: datetime


class OccurrenceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An occurrence."""

    id: UUID
    event_id: UUID
    event_version: int
    recurrence_id: str | None
    scheduled_at: datetime
    status: str
    status_reason: str | None
    attempt_count: int
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    missed_count: int
    created_at: datetime
    updated_at: datetime


class ReplayAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a bulk replay comes to."""

    matched: int
    """How many occurrences matched when it was asked for."""


class AttemptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request that was made."""

    number: int
    started_at: datetime
    duration_ms: int
    outcome: str
    status_code: int | None
    response_headers: dict[str, str] | None
    response_body: str | None
    error: str | None
    url: str
    stale: bool
    """Its claim had been taken over when its result came."""


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A new token. Its text is shown this once."""

    id: UUID
    token: str
    type: str = "jwt"
    sub: str
    access: Access
    scope: tuple[str, ...]
    expires_at: datetime
    created_at: datetime


class StoredTokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was made here; never its text."""

    id: UUID
    type: str = "jwt"
    sub: str
    access: Access
    scope: tuple[str, ...]
    expires_at: datetime
    expired: bool
    revoked_at: datetime | None
    created_at: datetime


def event(stored: Event, *, now: datetime, similar: list[EventId] | UnsetType = UNSET) -> EventAnswer:
    """Return an event as clients see it, with what its timing will come to."""
    content = stored.content
    changed = planning.series_of(planning.plan_of(stored))
    series = changed.series
    coming: list[UpcomingOccurrence] = []
    if stored.status in ("active", "paused"):
        coming = upcoming(changed, stored.id, now, limit=UPCOMING_SHOWN)
    return EventAnswer(
        id=stored.id,
        **_described(content),
        has_hmac_secret=stored.has_hmac_secret,
        status=stored.status,
        status_reason=stored.status_reason,
        version=stored.version,
        created_by=stored.created_by,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
        next_at=coming[0].scheduled_at if coming and stored.status == "active" else None,
        upcoming=coming,
        summary=recurrence.summary(series),
        warnings=[*recurrence.warnings(series), *_orphans(Overridden(series=series, overrides=stored.overrides))],
        similar_events=similar,
    )


def version(stored: Version) -> VersionAnswer:
    """Return a change of an event as clients see it."""
    return VersionAnswer(**msgspec.structs.asdict(stored))


def event_version(stored: Event, found: Version, content: Content) -> EventVersionAnswer:
    """Return an event as clients saw it when it had this content."""
    return EventVersionAnswer(
        **_described(content),
        **msgspec.structs.asdict(found),
        id=stored.id,
        created_by=stored.created_by,
        created_at=stored.created_at,
        summary=recurrence.summary(planning.series_of_timing(content.timing)),
    )


def override(stored: StoredOverride) -> OverrideAnswer:
    """Return what is changed about an occurrence as clients see it."""
    return OverrideAnswer(**msgspec.structs.asdict(stored))


def upcoming(
    series: Series | Overridden, event_id: EventId | None, start: datetime | None, *, limit: int
) -> list[UpcomingOccurrence]:
    """Return the first occurrences from `start` on, inclusive; without ids where there is no event."""
    return [
        UpcomingOccurrence(
            recurrence_id=each.recurrence_id,
            scheduled_at=each.scheduled_at,
            local=each.local,
            occurrence_id=occurrence_id_of(event_id, each.recurrence_id, each.original_at) if event_id else None,
            flags=each.flags,
        )
        for each in islice(series.occurrences(start), limit)
    ]


def preview(series: Series, start: datetime | None, *, limit: int) -> PreviewAnswer:
    """Return what a timing would come to, the first of it from `start` on."""
    return PreviewAnswer(
        schedule=series.rule,
        summary=recurrence.summary(series),
        occurrences=upcoming(series, None, start, limit=limit),
        total=recurrence.total(series),
        warnings=recurrence.warnings(series),
    )


def occurrence(stored: Occurrence) -> OccurrenceAnswer:
    """Return an occurrence as clients see it."""
    return OccurrenceAnswer(**msgspec.structs.asdict(stored))


def attempt(stored: Attempt) -> AttemptAnswer:
    """Return an attempt as clients see it."""
    return AttemptAnswer(
        number=stored.number,
        started_at=stored.started_at,
        duration_ms=stored.duration_ms,
        outcome=stored.outcome.value,
        status_code=stored.status_code,
        response_headers=stored.response_headers,
        response_body=stored.response_body,
        error=stored.error,
        url=stored.url,
        stale=stored.stale,
    )


def token(stored: Token, *, now: datetime) -> StoredTokenAnswer:
    """Return a token as clients see it."""
    return StoredTokenAnswer(**msgspec.structs.asdict(stored), expired=stored.expires_at <= now)


def _described(content: Content) -> dict[str, Any]:
    """Return what a client said of an event, by the names of its fields."""
    timing = content.timing
    return {
        "name": content.name,
        "description": content.description,
        "external_id": content.external_id,
        "start_time": timing.start_at,
        "timezone": timing.timezone,
        "schedule": timing.schedule,
        "rdates": timing.rdates,
        "exdates": timing.exdates,
        "dst_gap": timing.dst_gap,
        "webhook_url": content.webhook_url,
        "method": content.method,
        "headers": content.headers,
        "body": content.body,
        "timeout": content.timeout,
        "retry": content.retry,
        "expires_after": content.expires_after,
        "misfire": content.misfire,
        "overlap": content.overlap,
        "tags": content.tags,
        "metadata": content.metadata,
    }


def _orphans(series: Overridden) -> list[str]:
    return [f"the override of {key} matches no occurrence (any more)" for key in series.orphans]
