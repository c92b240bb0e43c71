"""Small builders of what most tests need, valid as they come: an event, a delivery at each station, an attempt.

Take what they return and change it with `msgspec.structs.replace` where a test is about a field.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from shared.domain.attempts import Attempt, Outcome
from shared.domain.content import Content, Retry, Timing
from shared.domain.deliveries import ClaimedDelivery, DueDelivery, Held, PlannedDelivery
from shared.domain.destinations import destination_of
from shared.domain.events import Event
from shared.domain.ids import ChainId, EventId, OccurrenceId, event_id_at, occurrence_id_of
from shared.domain.secrets import EventSecrets
from shared.store import creations, deliveries, planned_deliveries
from shared.store.creations import Creation
from shared.store.pool import Connection

NOON = datetime(2026, 3, 20, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

WEBHOOK_URL = "https://receiver.example/hook"

SOME_OCCURRENCE = OccurrenceId(UUID("019d0b1d-de00-82f6-bb1b-ecd6b5b67244"))

_numbers = count(1)


def utc_now() -> datetime:
    """Return the time as this host knows it, which is also where the tests' PostgreSQL runs."""
    return datetime.now(UTC)


def timing_of(
    start_at: datetime = NOON,
    *,
    schedule: str | None = None,
    until: datetime | None = None,
    rdates: Sequence[datetime] = (),
) -> Timing:
    """Return a timing in UTC; `until` is where COUNT ends the rule."""
    return Timing(
        start_at=start_at,
        start_local=start_at.replace(tzinfo=None),
        schedule=schedule,
        schedule_until=until,
        rdates=tuple(rdates),
    )


def content_of(
    timing: Timing | None = None, *, url: str = WEBHOOK_URL, retry: Retry | None = None, timeout: str = "PT15S"
) -> Content:
    """Return the content of an event, due once at noon."""
    return Content(
        name="Water the plants",
        timing=timing or timing_of(),
        webhook_url=url,
        retry=retry or Retry(),
        timeout=timeout,
    )


def event_of(content: Content | None = None) -> Event:
    """Return a new, active event."""
    return Event(
        id=event_id_at(NOON),
        version=1,
        status="active",
        status_reason=None,
        content=content or content_of(),
        has_hmac_secret=False,
        created_by="master",
        created_at=NOON,
        updated_at=NOON,
    )


async def an_event(conn: Connection, content: Content | None = None, *, hmac_secret: str | None = None) -> Event:
    """Store a new, active event."""
    event = event_of(content)
    await creations.insert(conn, [Creation(event=event, hmac_secret=hmac_secret)])
    return event


def planned_of(event: Event, scheduled_at: datetime = NOON, *, chained: bool = False) -> PlannedDelivery:
    """Return a delivery of an event that waits for its time."""
    recurrence_id = scheduled_at.replace(tzinfo=None).isoformat()
    return PlannedDelivery(
        occurrence_id=occurrence_id_of(event.id, recurrence_id, scheduled_at),
        event_id=event.id,
        event_version=event.version,
        scheduled_at=scheduled_at,
        recurrence_id=recurrence_id,
        destination=destination_of(event.content.webhook_url),
        chained=chained,
    )


async def a_waiting(
    conn: Connection, event: Event, scheduled_at: datetime = NOON, *, chained: bool = False
) -> PlannedDelivery:
    """Store a delivery that waits for its time."""
    planned = planned_of(event, scheduled_at, chained=chained)
    assert await planned_deliveries.insert(conn, [planned]) == {planned.occurrence_id}
    return planned


async def a_claimed(
    conn: Connection,
    event: Event,
    scheduled_at: datetime | None = None,
    *,
    lease: timedelta = deliveries.LEASE,
    horizon: timedelta = DAY,
) -> ClaimedDelivery:
    """Store a delivery, due a second ago unless told otherwise, and claim it together with whatever else is due."""
    waiting = await a_waiting(conn, event, scheduled_at or utc_now() - SECOND)
    claimed = await deliveries.claim_due(conn, limit=1000, lease=lease, horizon=horizon)
    [found] = [claim for claim in claimed if claim.occurrence_id == waiting.occurrence_id]
    return found


def held_by(claim: ClaimedDelivery) -> Held:
    """Return the claim as a dispatcher knows it."""
    return Held(claim.occurrence_id, claim.epoch)


def claimed_of(due_at: datetime = NOON, *, epoch: int = 1) -> ClaimedDelivery:
    """Return a claim on a delivery that is stored nowhere."""
    event_id = event_id_at(due_at)
    return ClaimedDelivery(
        occurrence_id=occurrence_id_of(event_id, str(next(_numbers)), due_at),
        event_id=event_id,
        epoch=epoch,
        destination=destination_of(WEBHOOK_URL),
        due_at=due_at,
        scheduled_at=due_at,
        chained=False,
        by_timing=True,
        claimed_at=due_at,
    )


def due_of(event: Event | None = None, *, now: datetime = NOON, attempts: int = 0) -> DueDelivery:
    """Return a delivery as it was loaded at `now`, which is also its time."""
    event = event or event_of()
    planned = planned_of(event)
    return DueDelivery(
        occurrence_id=planned.occurrence_id,
        epoch=1,
        event_id=event.id,
        chain_id=ChainId(event.id),
        event_version=event.version,
        event_status=event.status,
        content=event.content,
        webhook_url=event.content.webhook_url,
        secrets=EventSecrets(None),
        due_at=now,
        scheduled_at=now,
        recurrence_id=planned.recurrence_id,
        attempts=attempts,
        attempts_before=0,
        missed_count=0,
        catch_up=False,
        replay=False,
        round_at=now,
        metadata=None,
        unfinished_before=0,
        now=now,
        lease_left=60.0,
        request_id=None,
    )


def attempt_of(
    occurrence_id: OccurrenceId | None = None,
    *,
    epoch: int = 1,
    number: int = 1,
    outcome: Outcome = Outcome.DELIVERED,
    retry_after: timedelta | None = None,
) -> Attempt:
    """Return the record of a request that took 80 ms from noon on."""
    return Attempt(
        occurrence_id=occurrence_id or SOME_OCCURRENCE,
        epoch=epoch,
        number=number,
        started_at=NOON,
        duration_ms=80,
        outcome=outcome,
        url=WEBHOOK_URL,
        status_code=200 if outcome is Outcome.DELIVERED else None,
        retry_after=retry_after,
    )


async def states_of(conn: Connection, event_id: EventId) -> dict[OccurrenceId, str]:
    """Return the state of every occurrence of an event, live and finished."""
    cursor = await conn.execute("SELECT id, status FROM all_occurrences WHERE event_id = %s ORDER BY id", [event_id])
    return dict(await cursor.fetchall())
