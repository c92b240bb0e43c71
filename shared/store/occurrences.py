"""Occurrences wherever they live, as the view `all_occurrences` joins them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from shared.domain import epochs
from shared.domain.deliveries import Occurrence, PlannedDelivery
from shared.domain.ids import EventId, OccurrenceId
from shared.errors import NotFound
from shared.store import sight as sights
from shared.store.pool import Connection
from shared.store.sight import Sight


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of occurrences is narrowed by; None: not at all."""

    event_id: EventId | None = None
    tags: list[str] | None = None
    any_tags: list[str] | None = None
    status: str | None = None
    scheduled_from: datetime | None = None
    scheduled_to: datetime | None = None


SELECT: LiteralString = """
    SELECT o.id, o.event_id,
           CASE WHEN o.follows_event THEN e.version ELSE o.event_version END,
           o.recurrence_id, o.scheduled_at, o.status, o.status_reason,
           o.attempt_count, o.next_attempt_at, o.delivered_at, o.missed_count, o.created_at, o.updated_at
      FROM all_occurrences AS o
      JOIN events AS e ON e.id = o.event_id
     WHERE TRUE
"""
# Each condition is added only when its parameter is given, so that every query has a plan of its own.
CONDITIONS: dict[str, LiteralString] = {
    "id": " AND o.id = %(id)s",
    "event_id": " AND o.event_id = %(event_id)s",
    "tags": " AND e.tags @> %(tags)s::text[]",
    "any_tags": " AND e.tags && %(any_tags)s::text[]",
    "status": " AND o.status = %(status)s",
    "scheduled_from": " AND o.scheduled_at >= %(scheduled_from)s",
    "scheduled_to": " AND o.scheduled_at <= %(scheduled_to)s",
    "before": " AND o.id < %(before)s",
}
NEWEST: LiteralString = " ORDER BY o.id DESC LIMIT %(limit)s"


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
    found = await _select(conn, {"id": occurrence_id}, sight=sight, limit=1)
    if not found:
        raise NotFound(f"There is no occurrence {occurrence_id}.", code="occurrence_not_found")
    return found[0]


async def newest(
    conn: Connection, filters: Filters, *, sight: Sight, before: UUID | None, limit: int
) -> list[Occurrence]:
    """Return the newest occurrences that pass, by nominal time, older than the id `before`."""
    given = {**msgspec.structs.asdict(filters), "before": before}
    return await _select(conn, given, sight=sight, limit=limit)


async def _select(conn: Connection, given: Mapping[str, object], *, sight: Sight, limit: int) -> list[Occurrence]:
    in_sight, parameters = sights.condition(sight)
    query = SELECT + in_sight
    parameters["limit"] = limit
    for name, condition in CONDITIONS.items():
        if given.get(name) is not None:
            query += condition
            parameters[name] = given[name]
    cursor = await conn.execute(query + NEWEST, parameters, binary=True, prepare=False)
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
