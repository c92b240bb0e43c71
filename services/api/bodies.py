"""What clients send. Each field's type bounds it; its description and example are the hint of an error.

`NewEvent` is also what an update must come to: a change is merged into the event's present fields and read again.
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.domain.content import DEFAULT_TIMEOUT, DstGap, Duration, Json, Method, Misfire, Overlap, Retry
from shared.domain.deliveries import FinalStatus
from shared.domain.tokens import Access

Instant = Annotated[
    str,
    Meta(max_length=40, description="An RFC 3339 instant, with `Z` or an offset.", examples=["2027-03-20T09:00:00Z"]),
]
Time = Annotated[
    str,
    Meta(
        max_length=40,
        description="An RFC 3339 instant; or a local time without offset, together with `timezone`.",
        examples=["2027-03-20T09:00:00Z"],
    ),
]
Times = Annotated[
    list[Time],
    Meta(
        max_length=1000,
        description="At most 1000 RFC 3339 instants, or local times without offset, together with `timezone`.",
        examples=[["2027-03-20T09:00:00Z"]],
    ),
]
Tag = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=r"^[^\s,*]+$(?!\n)",
        description="1 to 128 characters, no comma, no white space, no star.",
        examples=["system:backup"],
    ),
]


Secret = Annotated[
    str,
    Meta(
        min_length=16,
        max_length=255,
        description="16 to 255 characters; with the prefix `whsec_`: base64 behind it.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    ),
]


class StructuredSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recurrence in words instead of an RRULE."""

    frequency: Annotated[
        Literal["secondly", "minutely", "hourly", "daily", "weekly", "monthly", "yearly"],
        Meta(description="One of secondly, minutely, hourly, daily, weekly, monthly, yearly.", examples=["weekly"]),
    ]
    interval: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    by_day: Annotated[list[Annotated[str, Meta(max_length=5)]], Meta(max_length=100, examples=[["MO", "FR"]])] = []
    by_month: Annotated[list[int], Meta(max_length=12)] = []
    by_month_day: Annotated[list[int], Meta(max_length=62)] = []
    count: Annotated[int, Meta(ge=1)] | None = None
    until: Instant | None = None


TimeZone = Annotated[str, Meta(max_length=64, description="An IANA time zone name.", examples=["America/New_York"])]
Schedule = (
    Annotated[
        str,
        Meta(
            max_length=2048,
            description="One RFC 5545 RRULE, or a structured schedule; null: once.",
            examples=["FREQ=WEEKLY;BYDAY=MO,WE,FR"],
        ),
    ]
    | StructuredSchedule
    | None
)


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event to create."""

    name: Annotated[
        str, Meta(min_length=1, max_length=255, description="1 to 255 characters.", examples=["Daily Backup"])
    ]
    description: Annotated[str, Meta(max_length=10_000, description="At most 10 000 characters.")] = ""
    external_id: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=255,
                description="Your own id for it, 1 to 255 characters: no two of your events have the same.",
                examples=["invoice-4711"],
            ),
        ]
        | None
    ) = None
    start_time: Time | UnsetType = UNSET
    in_: Annotated[Duration, Meta(description="Instead of `start_time`: this long from now.", examples=["PT15M"])] | (
        UnsetType
    ) = msgspec.field(name="in", default=UNSET)
    timezone: TimeZone = "UTC"
    schedule: Schedule = None
    rdates: Times = []
    exdates: Times = []
    dst_gap: DstGap = "shift"
    webhook_url: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=2048,
            description="An absolute http or https URL with a public host.",
            examples=["https://example.com/webhook"],
        ),
    ]
    method: Method = "POST"
    headers: Annotated[
        dict[str, Annotated[str, Meta(max_length=4096, description="At most 4096 characters.", examples=["billing"])]],
        Meta(
            max_length=32,
            description="Sent along, but for what the service sets: `webhook-*`, `x-qhronos-*`, `traceparent`, "
            "`tracestate`, and what shapes the connection.",
            examples=[{"x-team": "billing"}],
        ),
    ] = {}
    body: Annotated[
        Json,
        Meta(
            description="A template of the body, any JSON of at most 64 KiB; null: the standard body.",
            examples=[{"text": "{{event.name}} is due", "at": "{{occurrence.scheduled_at}}"}],
        ),
    ] = None
    timeout: Annotated[Duration, Meta(description="PT1S to PT60S.", examples=["PT15S"])] = DEFAULT_TIMEOUT
    retry: Annotated[
        Retry, Meta(description="`max_attempts`, `delays`, `jitter` and `max_age`.", examples=[{"max_attempts": 5}])
    ] = Retry()
    expires_after: Duration | None = None
    misfire: Annotated[Misfire, Meta(description="`policy` and `grace`.", examples=[{"policy": "all"}])] = Misfire()
    overlap: Overlap = "allow"
    hmac_secret: Secret | None = None
    tags: Annotated[list[Tag], Meta(max_length=64, examples=[["system:backup"]])] = []
    metadata: Annotated[dict[str, Json], Meta(description="A JSON object of at most 64 KiB.")] = {}


class NewEvents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events to create, all or none."""

    events: Annotated[list[NewEvent], Meta(min_length=1, max_length=1000)]


class EventChange(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of an event to change. One that is left out keeps its value, null clears an optional one.

    It has those of `NewEvent`: what they come to is read as a `NewEvent` again.
    """


class SchedulePreview(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A timing to try out before an event is made of it."""

    start_time: Time
    timezone: TimeZone = "UTC"
    schedule: Schedule = None
    rdates: Times = []
    exdates: Times = []
    dst_gap: DstGap = "shift"
    from_: Instant | None = msgspec.field(name="from", default=None)
    """Inclusive; from the beginning when it is left out."""
    limit: Annotated[int, Meta(ge=1, le=1000, description="1 to 1000.", examples=[10])] = 10


class Pause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stop an event for a while."""

    note: Annotated[str, Meta(max_length=1000, description="Why; at most 1000 characters.")] | None = None
    until: Instant | None = None
    """When it goes on by itself, from that moment on."""


class Resume(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let a stopped event go on."""

    from_: Literal["now", "latest", "all"] = msgspec.field(name="from", default="now")
    """What to do with what came due meanwhile: leave it out, deliver the newest, or all (the newest 100)."""


class Trigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Run an event now, once."""

    metadata: dict[str, Json] | None = None
    """Merged over the event's."""


DEFAULT_GRACE = "PT24H"


class SecretRotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Replace an event's secret."""

    hmac_secret: Secret | None = None
    """The new one; without it the service makes one and shows it this once."""
    grace: Annotated[Duration, Meta(description="So long the present one still signs too; up to P30D.")] = DEFAULT_GRACE


class OverrideChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change about one occurrence: leave it out, or some of the rest. It replaces what was changed before."""

    excluded: bool = False
    """Leave the occurrence out."""
    scheduled_at: (
        Annotated[
            str,
            Meta(
                max_length=40,
                description="The new time: an RFC 3339 instant, or a local time in the event's zone.",
                examples=["2027-03-20T09:00:00Z"],
            ),
        ]
        | None
    ) = None
    metadata: Annotated[dict[str, Json], Meta(description="A JSON object of at most 64 KiB.")] | None = None
    """Merged over the event's."""
    webhook_url: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=2048,
                description="An absolute http or https URL with a public host.",
                examples=["https://example.com/webhook"],
            ),
        ]
        | None
    ) = None


class BulkReplay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Finished occurrences to deliver again: those to which all of this applies."""

    status: Annotated[
        FinalStatus,
        Meta(
            description="A finished one: delivered, failed, expired, cancelled, missed or skipped.",
            examples=["failed"],
        ),
    ]
    event_id: (
        Annotated[UUID, Meta(description="The id of one event.", examples=["01a20ede-64e4-73f8-9798-f88b0cce1a0a"])]
        | None
    ) = None
    tags: Annotated[list[Tag], Meta(max_length=64, examples=[["system:backup"]])] | None = None
    """Their event has all of these."""
    from_: Instant = msgspec.field(name="from")
    """Of `scheduled_at`, inclusive."""
    to: Instant
    """Of `scheduled_at`, inclusive."""
    dry_run: bool = False
    """Only count them."""


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to create."""

    type: Annotated[Literal["jwt"], Meta(examples=["jwt"])]
    sub: Annotated[str, Meta(min_length=1, max_length=255, description="Whose token it is.", examples=["alice"])]
    access: Annotated[
        Access, Meta(description="`read`, `write` (or `read_write`) or `admin`.", examples=["read_write"])
    ]
    scope: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=129)]],
        Meta(max_length=64, description="Tags, prefixes such as `system:*`, or `*`.", examples=[["system:*"]]),
    ] = []
    expires_at: Instant | None = None


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of events may be narrowed by."""

    tags: Annotated[str, Meta(max_length=8192, description="All of these, separated by commas.")] | None = None
    any_tags: Annotated[str, Meta(max_length=8192, description="Any of these, separated by commas.")] | None = None
    status: Literal["active", "paused", "disabled", "completed", "deleted"] | None = None
    name: Annotated[str, Meta(max_length=255, description="Part of the name, in any case.")] | None = None
    created_after: Instant | None = None
    created_before: Instant | None = None
    limit: Annotated[int, Meta(ge=1, le=200, description="1 to 200.", examples=[50])] = 50
    cursor: Annotated[str, Meta(max_length=256)] | None = None


class OccurrencesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of an event's occurrences may be narrowed by."""

    tags: Annotated[str, Meta(max_length=8192, description="All of these, separated by commas.")] | None = None
    any_tags: Annotated[str, Meta(max_length=8192, description="Any of these, separated by commas.")] | None = None
    status: (
        Literal[
            "scheduled", "queued", "retrying", "delivered", "failed", "expired", "cancelled", "missed", "skipped",
        ]
        | None
    ) = None  # fmt: skip
    from_: Instant | None = msgspec.field(name="from", default=None)
    to: Instant | None = None
    limit: Annotated[int, Meta(ge=1, le=200, description="1 to 200.", examples=[50])] = 50
    cursor: Annotated[str, Meta(max_length=256)] | None = None


class OccurrenceQuery(OccurrencesQuery, frozen=True, kw_only=True):
    """What a list of occurrences may be narrowed by."""

    event_id: (
        Annotated[UUID, Meta(description="The id of one event.", examples=["01a20ede-64e4-73f8-9798-f88b0cce1a0a"])]
        | None
    ) = None


class UpcomingQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the coming occurrences to compute."""

    from_: Instant | None = msgspec.field(name="from", default=None)
    limit: Annotated[int, Meta(ge=1, le=1000, description="1 to 1000.", examples=[10])] = 10


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list."""

    limit: Annotated[int, Meta(ge=1, le=200, description="1 to 200.", examples=[50])] = 50
    cursor: Annotated[str, Meta(max_length=256)] | None = None
