"""How much of the service a `sub` uses."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

from shared.store.pool import Connection

ACTIVE_EVENTS: LiteralString = """
    SELECT count(*)
      FROM (SELECT FROM events WHERE created_by = %(sub)s AND status = 'active' LIMIT %(at_most)s) AS active
"""

CREATED_SINCE: LiteralString = """
    SELECT count(*), min(created_at) FROM events WHERE created_by = %(sub)s AND created_at > %(since)s
"""


async def active_events(conn: Connection, sub: str, *, at_most: int) -> int:
    """Return how many active events a sub has created; counting stops at `at_most`."""
    cursor = await conn.execute(ACTIVE_EVENTS, {"sub": sub, "at_most": at_most}, binary=True)
    [(found,)] = await cursor.fetchall()
    return found


async def created_since(conn: Connection, sub: str, since: datetime) -> tuple[int, datetime | None]:
    """Return how many events a sub has created since a recent instant, and when the first of them."""
    cursor = await conn.execute(CREATED_SINCE, {"sub": sub, "since": since}, binary=True)
    [(found, first_at)] = await cursor.fetchall()
    return found, first_at
