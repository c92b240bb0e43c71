"""What a user asks for: the content of one version of an event.

It is stored as JSON, once per version. Durations stay in the words of the client and are parsed where they are used.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Method = Literal["POST", "PUT", "PATCH"]
DstGap = Literal["shift", "skip"]
MisfirePolicy = Literal["latest", "all", "skip"]
Overlap = Literal["allow", "skip", "queue_one"]
Json = Any
"""A JSON value; msgspec knows no recursive types."""

Duration = Annotated[str, Meta(max_length=32, description="An ISO 8601 duration.", examples=["PT15M"])]

DEFAULT_TIMEOUT = "PT15S"
DEFAULT_DELAYS = ("PT5S", "PT5M", "PT30M", "PT2H", "PT5H", "PT10H", "PT14H", "PT20H", "PT24H")


class Retry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to try again. `delays[i]` follows failed attempt `i + 1`; the last one repeats."""

    max_attempts: Annotated[int, Meta(ge=1, le=25, description="1 to 25.", examples=[10])] = 10
    delays: Annotated[
        tuple[Duration, ...],
        Meta(min_length=1, max_length=25, description="1 to 25 ISO 8601 durations.", examples=[["PT5S", "PT5M"]]),
    ] = DEFAULT_DELAYS
    jitter: Annotated[float, Meta(ge=0, le=1, description="0 to 1.", examples=[0.2])] = 0.2
    """Each delay is multiplied by a factor between 1 - jitter and 1 + jitter."""
    max_age: Duration | None = None
    """Counted from `scheduled_at`; no attempt begins after it."""


class Misfire(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do with occurrences that came due while nobody ran."""

    policy: MisfirePolicy = "latest"
    grace: Duration = "P7D"
    """What is older is never delivered."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """When an event is due. A `schedule` of None means once, at `start_at`."""

    start_at: datetime
    start_local: datetime
    """Naive: the wall clock of the start, as it was written when that local time does not exist."""
    timezone: str = "UTC"
    schedule: str | None = None
    """A normalised RRULE."""
    schedule_until: datetime | None = None
    """The instant at which COUNT ends the rule, computed once."""
    rdates: tuple[datetime, ...] = ()
    exdates: tuple[datetime, ...] = ()
    dst_gap: DstGap = "shift"

    @property
    def recurs(self) -> bool:
        """Whether there may be more than one occurrence."""
        return self.schedule is not None or bool(self.rdates)


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an event."""

    name: str
    description: str = ""
    external_id: str | None = None
    """What the creator calls it, in its own words."""
    timing: Timing
    webhook_url: str
    method: Method = "POST"
    headers: dict[str, str] = {}
    timeout: str = DEFAULT_TIMEOUT
    retry: Retry = Retry()
    expires_after: str | None = None
    misfire: Misfire = Misfire()
    overlap: Overlap = "allow"
    """What to do with an occurrence whose predecessor is not finished."""
    tags: tuple[str, ...] = ()
    metadata: dict[str, Json] = {}
    body: Json = None
    """A template of the body, as it was written; None: the standard body."""
