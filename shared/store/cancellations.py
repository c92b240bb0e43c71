"""End a single delivery before it is made. Whoever does so holds the event's row: its chain may have to go on."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

import msgspec

from shared.domain import epochs
from shared.domain.ids import OccurrenceId
from shared.store.pool import Connection


class Cancelled(msgspec.Struct, frozen=True):
    """A delivery that was ended."""

    scheduled_at: datetime
    led_chain: bool
    """Nobody had claimed it, so the event's next delivery is not planned yet."""


CANCEL: LiteralString = """
    WITH cancelled AS (
        DELETE FROM deliveries
         WHERE occurrence_id = %(id)s
           AND NOT begun                     -- else its request may be on the wire
     RETURNING occurrence_id, event_id, event_version, recurrence_id, scheduled_at,
               epoch, attempts, missed_count, metadata, created_at, chained
    ), recorded AS (
        INSERT INTO occurrences (id, event_id, event_version, recurrence_id, scheduled_at, status, status_reason,
                                 epoch, attempt_count, missed_count, metadata, created_at)
        SELECT occurrence_id, event_id, event_version, recurrence_id, scheduled_at, 'cancelled', %(reason)s,
               epoch, attempts, missed_count, metadata, created_at
          FROM cancelled
    )
    SELECT scheduled_at, chained AND epoch & %(claims)s = 0 FROM cancelled
"""


async def cancel(conn: Connection, occurrence_id: OccurrenceId, *, reason: str) -> Cancelled | None:
    """End a delivery whose attempt has not begun, with a record; None when there is no such delivery (any more)."""
    parameters = {"id": occurrence_id, "reason": reason, "claims": epochs.CLAIMS_MASK}
    cursor = await conn.execute(CANCEL, parameters, binary=True)
    row = await cursor.fetchone()
    return None if row is None else Cancelled(*row)
