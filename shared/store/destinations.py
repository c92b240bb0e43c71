"""Health of destinations, shared by all dispatchers. Rows are locked in the order of their ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import LiteralString

from shared.domain import destinations
from shared.domain.destinations import DestinationId, Health, Tally
from shared.store.pool import Connection

# Where one delivery tries, it may be over soon.
KNOWN: LiteralString = """
    SELECT id, CASE WHEN probing THEN least(blocked_until, now() + interval '1 second') ELSE blocked_until END
      FROM destinations
"""

ADD: LiteralString = """
    INSERT INTO destinations (id, origin, failures)
    SELECT id, origin, 0 FROM unnest(%(ids)s::bigint[], %(origins)s::text[]) AS failed(id, origin)
     ORDER BY id
        ON CONFLICT (id) DO NOTHING
"""

LOCK: LiteralString = """
    SELECT id, failures, trips, blocked_until, probing, clock_timestamp()
      FROM destinations
     WHERE id = ANY (%(ids)s::bigint[])
     ORDER BY id
       FOR UPDATE
"""

WRITE: LiteralString = """
    UPDATE destinations AS d
       SET failures = h.failures, trips = h.trips, blocked_until = h.blocked_until, probing = h.probing,
           updated_at = now()
      FROM unnest(%(ids)s::bigint[], %(failures)s::integer[], %(trips)s::integer[], %(until)s::timestamptz[],
                  %(probing)s::boolean[]) AS h(id, failures, trips, blocked_until, probing)
     WHERE d.id = h.id
"""

FORGET: LiteralString = "DELETE FROM destinations WHERE id = ANY (%(ids)s::bigint[])"

PROBE: LiteralString = """
    UPDATE destinations
       SET probing = true, blocked_until = clock_timestamp() + %(hold)s
     WHERE id = ANY (SELECT id FROM destinations
                      WHERE id = ANY (%(ids)s::bigint[]) AND blocked_until <= clock_timestamp()
                      ORDER BY id
                        FOR UPDATE)
 RETURNING id
"""


async def known(conn: Connection) -> dict[DestinationId, datetime | None]:
    """Return the destinations that have failed since they last answered, and until when they are blocked."""
    cursor = await conn.execute(KNOWN, binary=True)
    return {DestinationId(id_): until for id_, until in await cursor.fetchall()}


async def record(conn: Connection, tallies: Mapping[DestinationId, Tally]) -> None:
    """Let the health of destinations follow from attempts. Of one that is well and unknown, nothing is kept."""
    failed = [id_ for id_, tally in tallies.items() if tally.failures or tally.retry_after]
    async with conn.transaction():
        if failed:
            await conn.execute(ADD, {"ids": failed, "origins": [tallies[id_].origin for id_ in failed]})
        cursor = await conn.execute(LOCK, {"ids": list(tallies)}, binary=True)
        after: dict[DestinationId, Health | None] = {}
        for id_, failures, trips, until, probing, now in await cursor.fetchall():
            health = Health(failures=failures, trips=trips, blocked_until=until, probing=probing)
            after[id_] = destinations.health_after(health, tallies[id_], now=now)
        await _write(conn, {id_: health for id_, health in after.items() if health})
        await conn.execute(FORGET, {"ids": [id_ for id_, health in after.items() if not health]})


async def _write(conn: Connection, healths: Mapping[DestinationId, Health]) -> None:
    await conn.execute(
        WRITE,
        {
            "ids": list(healths),
            "failures": [h.failures for h in healths.values()],
            "trips": [h.trips for h in healths.values()],
            "until": [h.blocked_until for h in healths.values()],
            "probing": [h.probing for h in healths.values()],
        },
    )


async def probe(conn: Connection, ids: Sequence[DestinationId], *, hold: timedelta) -> set[DestinationId]:
    """Return those destinations whose block is over and that the caller, and nobody else, may try with one delivery.

    They are blocked for everybody else until that attempt is recorded, or for `hold` where it never is.
    """
    cursor = await conn.execute(PROBE, {"ids": list(ids), "hold": hold}, binary=True)
    return {DestinationId(row[0]) for row in await cursor.fetchall()}
