"""Weekly partitions of the history, made before they are needed; a default partition is the net below them.

A week runs from Monday, in UTC. Occurrences are partitioned by id, which begins with the nominal time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal, LiteralString
from uuid import UUID

from psycopg import sql

from shared.store.pool import Connection

Partitioned = Literal["occurrences", "attempts"]

WEEK = timedelta(weeks=1)
_A_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
_LOCK = 0x71_68_72_70_61_72_74  # "qhrpart"

TRY_LOCK: LiteralString = "SELECT pg_try_advisory_xact_lock(%(lock)s)"
EXISTS: LiteralString = "SELECT to_regclass(%(name)s) IS NOT NULL"
# Attaching alone lets a writer be that has just chosen the default partition for its row, and then fails its write.
LOCK_PARENT: LiteralString = "LOCK TABLE ONLY {parent} IN ACCESS EXCLUSIVE MODE"
CREATE: LiteralString = "CREATE TABLE {partition} (LIKE {parent} INCLUDING ALL)"
MOVE: LiteralString = """
    WITH moved AS (DELETE FROM {default} WHERE {key} >= {lower} AND {key} < {upper} RETURNING *)
    INSERT INTO {partition} SELECT * FROM moved
"""
ATTACH: LiteralString = "ALTER TABLE {parent} ATTACH PARTITION {partition} FOR VALUES FROM ({lower}) TO ({upper})"


def weeks(now: datetime, *, ahead: int) -> Iterator[datetime]:
    """Yield the beginnings of this week and of those that follow."""
    this = _A_MONDAY + (now - _A_MONDAY) // WEEK * WEEK
    return (this + n * WEEK for n in range(ahead + 1))


async def make_ahead(conn: Connection, *, now: datetime, ahead: int) -> list[str]:
    """Make the partitions that are missing and return their names; none when another process is at it."""
    made: list[str] = []
    async with conn.transaction():
        cursor = await conn.execute(TRY_LOCK, {"lock": _LOCK})
        if (await cursor.fetchone()) != (True,):
            return made
        for start in weeks(now, ahead=ahead):
            made += [name for table in ("occurrences", "attempts") if (name := await _make(conn, table, start))]
    return made


async def _make(conn: Connection, table: Partitioned, start: datetime) -> str | None:
    """Make one partition, with what the net has caught for its week."""
    name = f"{table}_{start:%Y%m%d}"
    cursor = await conn.execute(EXISTS, {"name": name})
    if (await cursor.fetchone()) == (True,):
        return None
    parts = {
        "partition": sql.Identifier(name),
        "parent": sql.Identifier(table),
        "default": sql.Identifier(f"{table}_default"),
        "key": sql.Identifier("id" if table == "occurrences" else "started_at"),
        "lower": sql.Literal(_bound(table, start)),
        "upper": sql.Literal(_bound(table, start + WEEK)),
    }
    for statement in (LOCK_PARENT, CREATE, MOVE, ATTACH):
        await conn.execute(sql.SQL(statement).format(**parts))
    return name


def _bound(table: Partitioned, instant: datetime) -> datetime | UUID:
    return instant if table == "attempts" else UUID(int=int(instant.timestamp() * 1000) << 80)
