"""Changes to single occurrences, by event and recurrence_id. Whoever writes one holds the event's row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

import msgspec
from psycopg.types.json import Json

from shared.domain.ids import EventId
from shared.domain.overrides import Override, StoredOverride
from shared.store.pool import Connection

OF_EVENT: LiteralString = """
    SELECT recurrence_id, original_at, excluded, scheduled_at, metadata, webhook_url, created_at
      FROM event_overrides
     WHERE event_id = %(event_id)s
       AND (%(before_at)s::timestamptz IS NULL
            OR (created_at, recurrence_id) < (%(before_at)s::timestamptz, %(before_id)s::text))
     ORDER BY created_at DESC, recurrence_id DESC
     LIMIT %(limit)s
"""

OF_EVENTS: LiteralString = """
    SELECT event_id, recurrence_id, excluded, scheduled_at, webhook_url
      FROM event_overrides
     WHERE event_id = ANY (%(ids)s)
"""

PUT: LiteralString = """
    INSERT INTO event_overrides AS o (event_id, recurrence_id, original_at, excluded, scheduled_at,
                                      metadata, webhook_url, created_at)
    VALUES (%(event_id)s, %(recurrence_id)s, %(original_at)s, %(excluded)s, %(scheduled_at)s,
            %(metadata)s, %(webhook_url)s, %(created_at)s)
        ON CONFLICT (event_id, recurrence_id) DO UPDATE
       SET original_at = EXCLUDED.original_at, excluded = EXCLUDED.excluded, scheduled_at = EXCLUDED.scheduled_at,
           metadata = EXCLUDED.metadata, webhook_url = EXCLUDED.webhook_url
 RETURNING created_at
"""

DROP: LiteralString = """
    DELETE FROM event_overrides WHERE event_id = %(event_id)s AND recurrence_id = %(recurrence_id)s
"""


async def of_event(
    conn: Connection, event_id: EventId, *, before: tuple[datetime, str] | None, limit: int
) -> list[StoredOverride]:
    """Return the newest overrides of an event, older than `before` (creation time and recurrence_id)."""
    before_at, before_id = before or (None, None)
    parameters = {"event_id": event_id, "before_at": before_at, "before_id": before_id, "limit": limit}
    cursor = await conn.execute(OF_EVENT, parameters, binary=True)
    return [
        StoredOverride(
            recurrence_id=recurrence_id,
            original_at=original_at,
            excluded=excluded,
            scheduled_at=scheduled_at,
            metadata=None if metadata is None else msgspec.json.decode(metadata),
            webhook_url=webhook_url,
            created_at=created_at,
        )
        for recurrence_id, original_at, excluded, scheduled_at, metadata, webhook_url, created_at in (
            await cursor.fetchall()
        )
    ]


async def of_events(conn: Connection, ids: Sequence[EventId]) -> dict[EventId, dict[str, Override]]:
    """Return what is changed about times and receivers of occurrences, for those of the events that have any."""
    cursor = await conn.execute(OF_EVENTS, {"ids": list(ids)}, binary=True)
    found: dict[EventId, dict[str, Override]] = {}
    for event_id, recurrence_id, excluded, scheduled_at, webhook_url in await cursor.fetchall():
        override = Override(excluded=excluded, scheduled_at=scheduled_at, webhook_url=webhook_url)
        found.setdefault(event_id, {})[recurrence_id] = override
    return found


async def put(conn: Connection, event_id: EventId, override: StoredOverride) -> StoredOverride:
    """Write an override over the one that is there, if any, and return it; one keeps the time of its creation."""
    parameters = {
        **msgspec.structs.asdict(override),
        "event_id": event_id,
        "metadata": None if override.metadata is None else Json(override.metadata),
    }
    cursor = await conn.execute(PUT, parameters, binary=True)
    [(created_at,)] = await cursor.fetchall()
    return msgspec.structs.replace(override, created_at=created_at)


async def drop(conn: Connection, event_id: EventId, recurrence_id: str) -> None:
    """Remove an override."""
    await conn.execute(DROP, {"event_id": event_id, "recurrence_id": recurrence_id})
