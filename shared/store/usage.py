"""How much of the service a `sub` uses, and which of its events it could do without."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

import msgspec

from shared.domain.events import EventStatus
from shared.domain.ids import ChainId, EventId
from shared.store import sight as sights
from shared.store.pool import Connection
from shared.store.sight import Sight

MOST_NAMED = 10


class Alike(msgspec.Struct, frozen=True):
    """Active events that do the same, and the oldest of them."""

    number: int
    id: EventId
    name: str


class Chained(msgspec.Struct, frozen=True, kw_only=True):
    """What one sub has created in a delivery chain since an instant."""

    chain_id: ChainId
    sub: str
    since: datetime


class Member(msgspec.Struct, frozen=True):
    """An event that belongs to a chain and goes on."""

    id: EventId
    name: str
    status: EventStatus


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

# No statement's snapshot is older than its beginning, so counting in a second one sees what the holder before wrote.
LOCK_CHAIN: LiteralString = """
    SELECT pg_advisory_xact_lock(hashtextextended(%(chain_id)s::text, hashtextextended(%(sub)s, 1)))
"""

CREATED_IN_CHAIN: LiteralString = """
    SELECT count(*) FROM events
     WHERE created_by = %(sub)s AND chain_id = %(chain_id)s AND created_at > %(since)s
"""

CREATION_IN_CHAIN: LiteralString = """
    SELECT created_at FROM events
     WHERE created_by = %(sub)s AND chain_id = %(chain_id)s AND created_at > %(since)s
     ORDER BY created_at
    OFFSET %(place)s - 1
     LIMIT 1
"""

BEGINNING: LiteralString = """
    SELECT e.id, e.name, e.status FROM events AS e
     WHERE e.created_by = %(sub)s AND e.id = %(chain_id)s AND e.status IN ('active', 'paused')
"""
NEWEST: LiteralString = """
    UNION ALL
    (SELECT e.id, e.name, e.status FROM events AS e
      WHERE e.created_by = %(sub)s AND e.chain_id = %(chain_id)s AND e.created_at > %(since)s
        AND e.status IN ('active', 'paused')
"""
NEWEST_FIRST: LiteralString = " ORDER BY e.created_at DESC LIMIT %(limit)s)"


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


async def lock_chain(conn: Connection, chained: Chained) -> None:
    """Keep others from creating in a sub's part of a chain until the transaction ends."""
    await conn.execute(LOCK_CHAIN, msgspec.structs.asdict(chained))


async def created_in_chain(conn: Connection, chained: Chained) -> int:
    """Return how many events there are, whatever has become of them since."""
    cursor = await conn.execute(CREATED_IN_CHAIN, msgspec.structs.asdict(chained), binary=True)
    [(found,)] = await cursor.fetchall()
    return found


async def creation_in_chain(conn: Connection, chained: Chained, *, place: int) -> datetime | None:
    """Return when event number `place` was created (the oldest is 1); None when there are fewer."""
    parameters = {**msgspec.structs.asdict(chained), "place": place}
    cursor = await conn.execute(CREATION_IN_CHAIN, parameters, binary=True)
    row = await cursor.fetchone()
    return row[0] if row else None


async def members_of_chain(conn: Connection, chained: Chained, *, sight: Sight) -> list[Member]:
    """Return which events go on, within a sight: the one that began the chain, then the newest."""
    condition, seen = sights.condition(sight)
    statement = BEGINNING + condition + NEWEST + condition + NEWEST_FIRST
    parameters = {**msgspec.structs.asdict(chained), "limit": MOST_NAMED, **seen}
    cursor = await conn.execute(statement, parameters, binary=True)
    return [Member(*row) for row in await cursor.fetchall()]
