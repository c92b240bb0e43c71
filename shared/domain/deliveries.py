"""A delivery at the stations of its way: planned, claimed, loaded, finished."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from shared.domain.content import Content, Json
from shared.domain.destinations import DestinationId
from shared.domain.events import EventStatus
from shared.domain.ids import ChainId, EventId, OccurrenceId
from shared.domain.secrets import EventSecrets

FinalStatus = Literal["delivered", "failed", "expired", "cancelled", "missed", "skipped"]


class PlannedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """One that waits for its time."""

    occurrence_id: OccurrenceId
    event_id: EventId
    event_version: int
    scheduled_at: datetime
    recurrence_id: str | None
    """None for a trigger."""
    destination: DestinationId
    chained: bool
    """Its first claim plans the event's next delivery."""
    metadata: dict[str, Json] | None = None
    """What a trigger merges over the event's metadata."""
    due_at: datetime | None = None
    """When it may be attempted; None: at `scheduled_at`."""
    catch_up: bool = False
    missed_count: int = 0


class ClaimedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """One that a scheduler holds for the length of a lease."""

    occurrence_id: OccurrenceId
    event_id: EventId
    epoch: int
    destination: DestinationId
    due_at: datetime
    scheduled_at: datetime
    chained: bool
    by_timing: bool
    """Its event's timing asks for it now: no trigger, no replay, nothing that was settled after an outage."""
    claimed_at: datetime
    after_lease: bool = False
    """Whether an earlier claim's lease had run out."""


class Held(msgspec.Struct, frozen=True):
    """A claim, by the epoch that it raised."""

    occurrence_id: OccurrenceId
    epoch: int


class DueDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """All that an attempt needs, as it was when the attempt began."""

    occurrence_id: OccurrenceId
    epoch: int
    event_id: EventId
    chain_id: ChainId
    event_version: int
    event_status: EventStatus
    content: Content
    """Of the version that was claimed."""
    webhook_url: str
    """The event's current one."""
    secrets: EventSecrets
    due_at: datetime
    """When this attempt may start; `scheduled_at`, or later for a retry."""
    scheduled_at: datetime
    recurrence_id: str | None
    attempts: int
    attempts_before: int
    """Of these, the ones that were made before a replay began."""
    missed_count: int
    catch_up: bool
    replay: bool
    round_at: datetime
    """When the first attempt was due: `scheduled_at`, unless it is a replay."""
    metadata: dict[str, Json] | None
    unfinished_before: int
    """How many earlier occurrences of the event are not finished; counted only where overlap matters."""
    now: datetime
    """The database's clock."""
    lease_left: float
    """Seconds until another process may take the claim over."""
    request_id: str | None
    """Of the call to the API that made this version of the event."""

    @property
    def last_attempt(self) -> int:
        """The number of the attempt that no other follows."""
        return self.attempts_before + self.content.retry.max_attempts


class Finished(msgspec.Struct, frozen=True):
    """The end of a claimed delivery."""

    occurrence_id: OccurrenceId
    epoch: int
    status: FinalStatus
    reason: str | None
    requests: int
    """HTTP requests made under this claim: 1, or 0 when it ended before one."""


class Retried(msgspec.Struct, frozen=True):
    """A claimed delivery that is to be attempted (again) after `delay`."""

    occurrence_id: OccurrenceId
    epoch: int
    delay: timedelta
    requests: int = 1
    """HTTP requests made under this claim: 1, or 0 when it was put off before one."""


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one occurrence, live or finished."""

    id: OccurrenceId
    event_id: EventId
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
