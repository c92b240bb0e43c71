"""What an event has planned: deliveries that wait for their time, and what a change of the event does to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import LiteralString

from psycopg.types.json import Json

from shared.domain import epochs
from shared.domain.deliveries import PlannedDelivery
from shared.domain.destinations import DestinationId
from shared.domain.ids import EventId, OccurrenceId
from shared.store.pool import Connection

# As JSON: twelve arrays of a batch take longer to write than PostgreSQL takes for the rest. A new event has no records
# to look for, and to leave them out spares each create a plan of its own: over partitions one is made for every id.
PLANNED: LiteralString = """
    INSERT INTO deliveries (occurrence_id, event_id, event_version, next_at, due_at, scheduled_at,
                            epoch, chained, catch_up, missed_count, recurrence_id, destination, metadata)
    SELECT occurrence_id, event_id, event_version, coalesce(due_at, scheduled_at), coalesce(due_at, scheduled_at),
           scheduled_at, event_version::bigint << %(claims_bits)s, chained, catch_up, missed_count,
           recurrence_id, destination, metadata
      FROM json_to_recordset(%(planned)s)
        AS planned(occurrence_id uuid, event_id uuid, event_version integer, scheduled_at timestamptz,
                   due_at timestamptz, chained boolean, catch_up boolean, missed_count integer, recurrence_id text,
                   destination bigint, metadata json)
"""

INSERT: LiteralString = (
    PLANNED
    + """
     WHERE NOT EXISTS (SELECT FROM occurrences AS o
                        WHERE o.id = ANY (%(occurrence_ids)s) AND o.id = planned.occurrence_id)
        ON CONFLICT (occurrence_id) DO NOTHING
 RETURNING occurrence_id
"""
)

REDIRECT: LiteralString = """
    UPDATE deliveries AS d
       SET destination = redirected.destination
      FROM unnest(%(ids)s::uuid[], %(destinations)s::bigint[]) AS redirected(occurrence_id, destination)
     WHERE d.occurrence_id = ANY (%(ids)s) AND d.occurrence_id = redirected.occurrence_id
"""

REDIRECT_EVENT: LiteralString = """
    UPDATE deliveries SET destination = %(destination)s WHERE event_id = %(event_id)s
"""

CANCEL: LiteralString = """
    WITH cancelled AS (
        DELETE FROM deliveries
         WHERE event_id = %(event_id)s AND NOT begun
     RETURNING *
    )
    INSERT INTO occurrences (id, event_id, event_version, recurrence_id, scheduled_at, status, status_reason,
                             epoch, attempt_count, missed_count, metadata, created_at)
    SELECT occurrence_id, event_id, event_version, recurrence_id, scheduled_at, 'cancelled', %(reason)s,
           epoch, attempts, missed_count, metadata, created_at
      FROM cancelled
"""

UNPLAN: LiteralString = """
    DELETE FROM deliveries
     WHERE event_id = %(event_id)s
       AND recurrence_id IS NOT NULL AND attempts = 0 AND NOT begun AND NOT replay
       AND (scheduled_at > clock_timestamp() OR %(overdue)s)
 RETURNING scheduled_at
"""

UNCHAIN: LiteralString = """
    UPDATE deliveries SET chained = false WHERE event_id = %(event_id)s AND chained AND NOT begun
"""

LAST_PLANNED: LiteralString = """
    SELECT greatest(clock_timestamp(), max(scheduled_at)) FROM deliveries
     WHERE event_id = %(event_id)s AND recurrence_id IS NOT NULL AND NOT replay
"""

TAKE_BACK: LiteralString = """
    DELETE FROM deliveries WHERE occurrence_id = %(id)s AND attempts = 0 AND NOT begun AND NOT replay
"""

IS_UNDER_WAY_OR_OVER: LiteralString = """
    SELECT EXISTS (SELECT FROM deliveries WHERE occurrence_id = %(id)s AND (attempts > 0 OR begun OR replay))
        OR EXISTS (SELECT FROM occurrences WHERE id = %(id)s AND status_reason IS DISTINCT FROM 'excluded')
"""

IS_LIVE: LiteralString = "SELECT 1 FROM deliveries WHERE occurrence_id = %(id)s"

# The chain's head is the one that nobody has claimed yet: the others have planned their successors.
PULL_BACK: LiteralString = """
    DELETE FROM deliveries
     WHERE event_id = %(event_id)s AND chained AND epoch & %(claims)s = 0 AND scheduled_at >= %(instant)s
"""

HAS_HEAD: LiteralString = """
    SELECT 1 FROM deliveries WHERE event_id = %(event_id)s AND chained AND epoch & %(claims)s = 0 LIMIT 1
"""

ANY_OF_EVENT: LiteralString = "SELECT 1 FROM deliveries WHERE event_id = %(event_id)s LIMIT 1"


async def insert(conn: Connection, planned: Sequence[PlannedDelivery]) -> set[OccurrenceId]:
    """Let deliveries wait for their time; return those that were new.

    One that is there already, or has finished, is left as it is.
    """
    parameters = parameters_of(planned) | {"occurrence_ids": [each.occurrence_id for each in planned]}
    cursor = await conn.execute(INSERT, parameters, binary=True)
    return {row[0] for row in await cursor.fetchall()}


def parameters_of(planned: Sequence[PlannedDelivery]) -> dict[str, object]:
    """Return the parameters of `PLANNED`."""
    return {"planned": Json(planned), "claims_bits": epochs.CLAIMS_BITS}


async def redirect(conn: Connection, redirected: Mapping[OccurrenceId, DestinationId]) -> None:
    """Let live deliveries be known to go to other destinations."""
    parameters = {"ids": list(redirected), "destinations": list(redirected.values())}
    await conn.execute(REDIRECT, parameters)


async def redirect_event(conn: Connection, event_id: EventId, destination: DestinationId) -> None:
    """Let all live deliveries of an event be known to go to another destination."""
    await conn.execute(REDIRECT_EVENT, {"event_id": event_id, "destination": destination})


async def cancel_of_event(conn: Connection, event_id: EventId, *, reason: str) -> None:
    """End every delivery of an event that has not begun, with a record."""
    await conn.execute(CANCEL, {"event_id": event_id, "reason": reason})


async def drop_planned(conn: Connection, event_id: EventId) -> datetime | None:
    """Drop all that an event's timing had planned and has not begun; return the time of the first of it."""
    cursor = await conn.execute(UNPLAN, {"event_id": event_id, "overdue": True}, binary=True)
    return min((row[0] for row in await cursor.fetchall()), default=None)


async def unplan(conn: Connection, event_id: EventId, *, overdue: bool) -> datetime:
    """Drop what an event's timing had planned and has not begun. Return the instant after which to plan anew.

    What is overdue is dropped only when asked for; else it is still to be delivered, and plans nothing any more.
    """
    await conn.execute(UNPLAN, {"event_id": event_id, "overdue": overdue})
    await conn.execute(UNCHAIN, {"event_id": event_id})
    cursor = await conn.execute(LAST_PLANNED, {"event_id": event_id}, binary=True)
    [row] = await cursor.fetchall()
    return row[0]


async def take_back(conn: Connection, occurrence_id: OccurrenceId) -> None:
    """Drop the waiting delivery of an occurrence, if there is one."""
    await conn.execute(TAKE_BACK, {"id": occurrence_id})


async def is_under_way_or_over(conn: Connection, occurrence_id: OccurrenceId) -> bool:
    """Tell whether an attempt for an occurrence has begun, or a record says how it ended."""
    cursor = await conn.execute(IS_UNDER_WAY_OR_OVER, {"id": occurrence_id}, binary=True)
    [(found,)] = await cursor.fetchall()
    return found


async def is_live(conn: Connection, occurrence_id: OccurrenceId) -> bool:
    """Tell whether an occurrence is still to be delivered."""
    cursor = await conn.execute(IS_LIVE, {"id": occurrence_id}, binary=True)
    return await cursor.fetchone() is not None


async def pull_back(conn: Connection, event_id: EventId, instant: datetime) -> bool:
    """Drop the head of an event's chain where it is at `instant` or later; False when an earlier one leads the chain.

    The caller holds the event's row, so that no scheduler plans on meanwhile.
    """
    parameters = {"event_id": event_id, "instant": instant, "claims": epochs.CLAIMS_MASK}
    await conn.execute(PULL_BACK, parameters)
    cursor = await conn.execute(HAS_HEAD, parameters, binary=True)
    return await cursor.fetchone() is None


async def any_of_event(conn: Connection, event_id: EventId) -> bool:
    """Tell whether an event has live deliveries."""
    cursor = await conn.execute(ANY_OF_EVENT, {"event_id": event_id}, binary=True)
    return await cursor.fetchone() is not None
