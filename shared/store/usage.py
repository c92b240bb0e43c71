"""How much of the service a `sub` uses, and which of its events it could do without."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

import msgspec

from shared.domain.ids import EventId
from shared.store import sight as sights
from shared.store.pool import Connection
from shared.store.sight import Sight

MOST_NAMED = 10


class Alike(msgspec.Struct, frozen=True):
    """Active events that do the same, and the oldest of them."""

    number: int
    id: EventId
    name: str


ACTIVE_EVENTS: LiteralString = """
    SELECT count(*)
      FROM (SELECT FROM events WHERE created_by = %(sub)s AND status = 'active' LIMIT %(at_most)s) AS active
"""

CREATED_SINCE: LiteralString = """
    SELECT count(*), min(created_at) FROM events WHERE created_by = %(sub)s AND created_at > %(since)s
"""

LARGEST: LiteralString = """
    SELECT alike.number, oldest.id, oldest.name
      FROM (SELECT e.likeness, count(*) AS number FROM events AS e
             WHERE e.created_by = %(sub)s AND e.status = 'active'
"""
OLDEST: LiteralString = """
             GROUP BY e.likeness
             ORDER BY number DESC
             LIMIT %(limit)s) AS alike,
           LATERAL (SELECT e.id, e.name FROM events AS e
                     WHERE e.created_by = %(sub)s AND e.likeness = alike.likeness AND e.status = 'active'
"""
LARGEST_FIRST: LiteralString = " ORDER BY e.id LIMIT 1) AS oldest ORDER BY alike.number DESC, oldest.id"


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


async def most_alike(conn: Connection, sub: str, *, sight: Sight) -> list[Alike]:
    """Return which active events of a sub there are most of, within a sight. Every one of them is looked at."""
    condition, seen = sights.condition(sight)
    statement = LARGEST + condition + OLDEST + condition + LARGEST_FIRST
    cursor = await conn.execute(statement, {"sub": sub, "limit": MOST_NAMED, **seen}, binary=True)
    return [Alike(*row) for row in await cursor.fetchall()]
