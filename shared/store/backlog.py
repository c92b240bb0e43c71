"""How much waits, and for how long: what operators watch and scaling goes by."""

from __future__ import annotations

from datetime import timedelta
from typing import LiteralString

from shared.store.pool import Connection

LOOKED_AT = 10_000
"""Of what can be claimed first: the oldest is among them, unless even more requests are under way."""

OLDEST_OVERDUE: LiteralString = """
    SELECT clock_timestamp() - min(due_at)
      FROM (SELECT due_at, begun FROM deliveries ORDER BY next_at LIMIT %(looked_at)s) AS first
     WHERE due_at <= clock_timestamp() AND NOT begun
"""

# Reads the whole queue.
COUNTS: LiteralString = """
    SELECT CASE WHEN attempts > attempts_before THEN 'retrying' WHEN leased THEN 'queued' ELSE 'scheduled' END, count(*)
      FROM deliveries
     GROUP BY 1
"""

BREAKERS: LiteralString = """
    SELECT CASE WHEN probing OR blocked_until <= now() THEN 'half_open'
                WHEN blocked_until IS NULL THEN 'closed' ELSE 'open' END,
           count(*)
      FROM destinations
     GROUP BY 1
"""


async def oldest_overdue(conn: Connection) -> timedelta:
    """Return how long what is due, and whose attempt has not begun, has waited at most."""
    cursor = await conn.execute(OLDEST_OVERDUE, {"looked_at": LOOKED_AT}, binary=True)
    [(waited,)] = await cursor.fetchall()
    return waited or timedelta(0)


async def counts(conn: Connection) -> dict[str, int]:
    """Return the number of live deliveries by status; it takes about 0.1 s for a million."""
    cursor = await conn.execute(COUNTS, binary=True)
    return {"scheduled": 0, "queued": 0, "retrying": 0} | dict(await cursor.fetchall())


async def breakers(conn: Connection) -> dict[str, int]:
    """Return the number of destinations that failed when last called, by the state of their breaker."""
    cursor = await conn.execute(BREAKERS, binary=True)
    return {"closed": 0, "open": 0, "half_open": 0} | dict(await cursor.fetchall())
