"""Occurrences wherever they live, as the view `all_occurrences` joins them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import LiteralString

from shared.domain import epochs
from shared.domain.deliveries import Occurrence, PlannedDelivery
from shared.domain.ids import EventId, OccurrenceId
from shared.errors import NotFound
from shared.store import sight as sights
from shared.store.pool import Connection
from shared.store.sight import Sight

SELECT: LiteralString = """
    SELECT o.id, o.event_id,
           CASE WHEN o.follows_event THEN e.version ELSE o.event_version END,
           o.recurrence_id, o.scheduled_at, o.status, o.status_reason,
           o.attempt_count, o.next_attempt_at, o.delivered_at, o.missed_count, o.created_at, o.updated_at
      FROM all_occurrences AS o
      JOIN events AS e ON e.id = o.event_id
     WHERE TRUE
"""
WITH_ID: LiteralString = " AND o.id = %(id)s"

SKIPPED: LiteralString = """
    INSERT INTO occurrences (id, event_id, event_version, recurrence_id, scheduled_at, status, status_reason,
                             epoch, attempt_count, missed_count, created_at)
    SELECT id, event_id, version, recurrence_id, scheduled_at, 'skipped', %(reason)s, epoch, 0, count, now()
      FROM unnest(%(ids)s::uuid[], %(event_ids)s::uuid[], %(versions)s::integer[], %(recurrence_ids)s::text[],
                  %(scheduled)s::timestamptz[], %(epochs)s::bigint[], %(counts)s::integer[])
        AS skipped(id, event_id, version, recurrence_id, scheduled_at, epoch, count)
        ON CONFLICT (id) DO NOTHING
"""

FORGET_EXCLUDED: LiteralString = """
    DELETE FROM occurrences
     WHERE event_id = %(event_id)s AND status = 'skipped' AND status_reason = 'excluded' AND scheduled_at > %(after)s
"""

CANCELLED_AFTER: LiteralString = """
    SELECT event_id, recurrence_id FROM occurrences
     WHERE recurrence_id IS NOT NULL
       AND event_id = ANY (%(ids)s) AND status = 'cancelled' AND scheduled_at > coalesce(%(after)s, now())
       AND id >= first_id_at(coalesce(%(after)s, now()))
     UNION
    SELECT event_id, recurrence_id FROM occurrences
     WHERE recurrence_id IS NOT NULL
       AND event_id = ANY (%(ids)s) AND status = 'cancelled' AND scheduled_at > coalesce(%(after)s, now())
       AND is_moved(id, scheduled_at)
"""

FORGET_CANCELLED: LiteralString = """
    DELETE FROM occurrences
     WHERE event_id = %(event_id)s AND status = 'cancelled' AND scheduled_at > %(after)s
       AND status_reason IN ('event_disabled', 'event_deleted')
"""


async def record_skipped(
    conn: Connection, skipped: Sequence[PlannedDelivery], *, reason: str, each_counts: int = 1
) -> None:
    """Record what is not delivered; each record may stand for more than one occurrence, its own the first."""
    await conn.execute(
        SKIPPED,
        {
            "ids": [s.occurrence_id for s in skipped],
            "event_ids": [s.event_id for s in skipped],
            "versions": [s.event_version for s in skipped],
            "recurrence_ids": [s.recurrence_id for s in skipped],
            "scheduled": [s.scheduled_at for s in skipped],
            "epochs": [epochs.epoch_before_first_claim(s.event_version) for s in skipped],
            "counts": [each_counts] * len(skipped),
            "reason": reason,
        },
    )


async def forget_excluded(conn: Connection, event_id: EventId, *, after: datetime) -> None:
    """Drop the records of an event's occurrences to come that were left out by overrides."""
    await conn.execute(FORGET_EXCLUDED, {"event_id": event_id, "after": after})


async def forget_cancelled(conn: Connection, event_id: EventId, *, after: datetime) -> None:
    """Let occurrences to come that were cancelled with their event happen after all."""
    await conn.execute(FORGET_CANCELLED, {"event_id": event_id, "after": after})


async def cancelled_after(
    conn: Connection, event_ids: Sequence[EventId], *, after: datetime | None = None
) -> dict[EventId, frozenset[str]]:
    """Return the recurrence_ids that were cancelled after an instant (None: now), for those events that have any."""
    cursor = await conn.execute(CANCELLED_AFTER, {"ids": list(event_ids), "after": after}, binary=True)
    found: dict[EventId, frozenset[str]] = {}
    for event_id, recurrence_id in await cursor.fetchall():
        found[event_id] = found.get(event_id, frozenset()) | {recurrence_id}
    return found


async def get(conn: Connection, occurrence_id: OccurrenceId, *, sight: Sight) -> Occurrence:
    """Return one occurrence; NotFound when there is none in sight."""
    in_sight, parameters = sights.condition(sight)
    found = await select(conn, SELECT + in_sight + WITH_ID, parameters | {"id": occurrence_id})
    if not found:
        raise NotFound(f"There is no occurrence {occurrence_id}.", code="occurrence_not_found")
    return found[0]


async def select(conn: Connection, query: LiteralString, parameters: Mapping[str, object]) -> list[Occurrence]:
    """Return what a query finds that begins with SELECT."""
    cursor = await conn.execute(query, parameters, binary=True, prepare=False)
    return [
        Occurrence(
            id=id_,
            event_id=event_id,
            event_version=event_version,
            recurrence_id=recurrence_id,
            scheduled_at=scheduled_at,
            status=status,
            status_reason=status_reason,
            attempt_count=attempt_count,
            next_attempt_at=next_attempt_at,
            delivered_at=delivered_at,
            missed_count=missed_count,
            created_at=created_at,
            updated_at=updated_at,
        )
        for (
            id_, event_id, event_version, recurrence_id, scheduled_at, status, status_reason,
            attempt_count, next_attempt_at, delivered_at, missed_count, created_at, updated_at,
        ) in await cursor.fetchall()
    ]  # fmt: skip
