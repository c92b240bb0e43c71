"""Examples for the OpenAPI document: bodies that pass at any time, and what is answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import msgspec

from services.api import answers, bodies
from shared.domain.attempts import Attempt, Outcome
from shared.domain.content import Content, Json, Timing
from shared.domain.deliveries import Occurrence
from shared.domain.events import Event
from shared.domain.ids import EventId, OccurrenceId, TokenId
from shared.domain.overrides import StoredOverride
from shared.domain.tokens import Token
from shared.store.versions import Version

_NOW = datetime(2027, 3, 19, 12, tzinfo=UTC)
_START = datetime(2027, 3, 22, 8, tzinfo=UTC)
_RULE = "FREQ=WEEKLY;BYDAY=MO,WE,FR"
_URL = "https://example.com/webhook"
_ZONE = "Europe/Berlin"
_BACKUP: dict[str, Json] = {
    "name": "Daily Backup",
    "start_time": "2027-03-22T09:00:00",
    "timezone": _ZONE,
    "schedule": _RULE,
    "webhook_url": _URL,
    "tags": ["system:backup"],
    "metadata": {"volume": "home"},
}
_REMINDER: dict[str, Json] = {"name": "Call Bob", "in": "PT15M", "webhook_url": _URL, "tags": ["user:alice"]}

BODIES: dict[type[msgspec.Struct], dict[str, dict[str, Json]]] = {
    bodies.NewEvent: {
        "recurring": _BACKUP,
        "once": _REMINDER,
        "structured": {
            "name": "Rent",
            "start_time": "2027-04-01T00:00:00Z",
            "schedule": {"frequency": "monthly", "by_month_day": [1]},
            "webhook_url": _URL,
            "headers": {"x-team": "billing"},
            "body": {"text": "{{event.name}} is due", "at": "{{occurrence.scheduled_at}}"},
            "retry": {"max_attempts": 3, "delays": ["PT1M", "PT10M"]},
        },
    },
    bodies.NewEvents: {"two": {"events": [_BACKUP, _REMINDER]}},
    bodies.EventChange: {
        "rename": {"name": "Nightly Backup"},
        "merge": {"metadata": {"volume": "srv"}, "retry": {"max_attempts": 5}, "expires_after": None},
    },
    bodies.Trigger: {"as it is": {}, "with metadata": {"metadata": {"reason": "asked for"}}},
    bodies.Pause: {"until resumed": {"note": "Maintenance"}, "until": {"until": "2099-01-01T00:00:00Z"}},
    bodies.Resume: {"from now": {}, "the newest": {"from": "latest"}},
    bodies.SecretRotation: {"made here": {}, "own": {"hmac_secret": "a-secret-of-our-own", "grace": "PT1H"}},
    bodies.OverrideChange: {
        "leave out": {"excluded": True},
        "move": {"scheduled_at": "2099-03-22T10:30:00Z", "metadata": {"moved": True}},
    },
    bodies.BulkReplay: {
        "failed": {"status": "failed", "from": "2027-03-20T00:00:00Z", "to": "2027-03-21T00:00:00Z"},
        "count": {
            "status": "missed",
            "tags": ["system:backup"],
            "from": "2027-03-20T00:00:00Z",
            "to": "2027-03-21T00:00:00Z",
            "dry_run": True,
        },
    },
    bodies.SchedulePreview: {
        "rule": {"start_time": "2027-03-22T09:00:00", "timezone": _ZONE, "schedule": _RULE, "limit": 3},
        "structured": {
            "start_time": "2027-03-22T09:00:00Z",
            "schedule": {"frequency": "daily", "count": 5},
            "exdates": ["2027-03-23T09:00:00Z"],
        },
    },
    bodies.NewToken: {
        "agent": {"type": "jwt", "sub": "alice", "access": "read_write", "scope": ["user:alice", "system:*"]},
        "admin": {"type": "jwt", "sub": "operator", "access": "admin", "expires_at": "2099-01-01T00:00:00Z"},
    },
}


@cache
def of_answers() -> dict[str, Any]:
    """Return an example of each kind of answer by the name of its schema, made as answers are made."""
    event = answers.event(_event(), now=_NOW, similar=[])
    read = msgspec.structs.replace(event, similar_events=msgspec.UNSET)
    occurrence, override = answers.occurrence(_occurrence()), answers.override(_override())
    attempt, token = answers.attempt(_attempt()), answers.token(_token(), now=_NOW)
    version = Version(version=1, change="created", fields=[], changed_by="alice", changed_at=_NOW)
    made: dict[str, Any] = {
        "EventAnswer": event,
        "EventsAnswer": answers.EventsAnswer(data=[event]),
        "EventVersionAnswer": answers.event_version(_event(), version, _event().content),
        "OccurrenceAnswer": occurrence,
        "OverrideAnswer": override,
        "PreviewAnswer": answers.PreviewAnswer(
            schedule=_RULE, summary=event.summary, occurrences=event.upcoming[:1], total=None, warnings=[]
        ),
        "ReplayAnswer": answers.ReplayAnswer(matched=3),
        "SecretAnswer": answers.SecretAnswer(
            hmac_secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",  # noqa: S106 - everybody's
            previous_valid_until=_NOW + timedelta(days=1),
        ),
        "TokenAnswer": answers.TokenAnswer(
            id=token.id,
            token="eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJxaHJvbm9zIn0.c2lnbmF0dXJl",  # noqa: S106 - nobody's
            sub=token.sub,
            access=token.access,
            scope=token.scope,
            expires_at=token.expires_at,
            created_at=token.created_at,
        ),
        "Page_AttemptAnswer_": _page(attempt),
        "Page_EventAnswer_": _page(read),
        "Page_OccurrenceAnswer_": _page(occurrence),
        "Page_OverrideAnswer_": _page(override),
        "Page_StoredTokenAnswer_": _page(token),
        "Page_UpcomingOccurrence_": _page(*event.upcoming[:2]),
        "Page_VersionAnswer_": _page(answers.version(version)),
    }
    return {name: msgspec.to_builtins(answer) for name, answer in made.items()}


def _page(*data: object) -> answers.Page[Any]:
    return answers.Page(data=list(data))


def _event() -> Event:
    return Event(
        id=EventId(UUID("01a20ede-64e4-73f8-9798-f88b0cce1a0a")),
        version=1,
        status="active",
        status_reason=None,
        content=Content(
            name="Daily Backup",
            timing=Timing(start_at=_START, start_local=datetime(2027, 3, 22, 9), timezone=_ZONE, schedule=_RULE),  # noqa: DTZ001 - a wall clock
            webhook_url=_URL,
            tags=("system:backup",),
            metadata={"volume": "home"},
        ),
        has_hmac_secret=False,
        created_by="alice",
        created_at=_NOW,
        updated_at=_NOW,
    )


def _occurrence() -> Occurrence:
    return Occurrence(
        id=OccurrenceId(UUID("01a2125d-1800-8d3b-a5f1-6c3f1f8a2b11")),
        event_id=_event().id,
        event_version=1,
        recurrence_id="2027-03-22T09:00:00",
        scheduled_at=_START,
        status="delivered",
        status_reason=None,
        attempt_count=1,
        next_attempt_at=None,
        delivered_at=_START + timedelta(milliseconds=42),
        missed_count=0,
        created_at=_NOW,
        updated_at=_START + timedelta(milliseconds=45),
    )


def _override() -> StoredOverride:
    return StoredOverride(
        recurrence_id="2027-03-22T09:00:00",
        original_at=_START,
        excluded=False,
        scheduled_at=_START + timedelta(minutes=90),
        metadata={"moved": True},
        webhook_url=None,
        created_at=_NOW,
    )


def _attempt() -> Attempt:
    return Attempt(
        occurrence_id=_occurrence().id,
        epoch=1,
        number=1,
        started_at=_START,
        duration_ms=42,
        outcome=Outcome.DELIVERED,
        url=_URL,
        status_code=204,
        response_headers={"server": "example"},
        response_body="",
    )


def _token() -> Token:
    return Token(
        id=TokenId(UUID("01a20ede-0000-7c4f-8a61-2f0d3b5e7a90")),
        sub="alice",
        access="read_write",
        scope=("user:alice", "system:*"),
        expires_at=_NOW + timedelta(hours=1),
        created_at=_NOW,
    )
