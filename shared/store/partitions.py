"""Weekly partitions of the history, made before they are needed; a default partition is the net below them.

When a week is too old to be kept, its partition is dropped, without letting anybody wait for long.

A week runs from Monday, in UTC. Occurrences are partitioned by id, which begins with the nominal time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Literal, LiteralString
from uuid import UUID

from psycopg import sql

from shared.store.clock import database_now
from shared.store.pool import Connection

Partitioned = Literal["occurrences", "attempts"]

WEEK = timedelta(weeks=1)
_MOST_WEEKS_COUNTED = 52
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

PARTITIONS: LiteralString = """
    SELECT child.relname, parent.relname
      FROM pg_inherits AS i
      JOIN pg_class AS child ON child.oid = i.inhrelid
      JOIN pg_class AS parent ON parent.oid = i.inhparent
     WHERE i.inhparent IN ('occurrences'::regclass, 'attempts'::regclass)
     ORDER BY child.relname
"""
# To drop a partition locks all of its table: whoever comes behind us waits no longer than we do.
WAIT_SHORTLY: LiteralString = "SET LOCAL lock_timeout = '500ms'"
DROP: LiteralString = "DROP TABLE IF EXISTS {partition}"


def weeks(now: datetime, *, ahead: int) -> Iterator[datetime]:
    """Yield the beginnings of this week and of those that follow."""
    this = _A_MONDAY + (now - _A_MONDAY) // WEEK * WEEK
    return (this + n * WEEK for n in range(ahead + 1))


async def make_ahead(conn: Connection, *, now: datetime, ahead: int) -> list[str]:
    """Make the partitions that are missing and return their names; none when another process is at it."""
    made: list[str] = []
    async with conn.transaction():
        if not await lock(conn):
            return made
        for start in weeks(now, ahead=ahead):
            made += [name for table in ("occurrences", "attempts") if (name := await _make(conn, table, start))]
    return made


async def weeks_ahead(conn: Connection) -> int:
    """Return for how many weeks after this one all partitions are there; -1 when not even this one's are."""
    cursor = await conn.execute(PARTITIONS)
    there = {name for name, _ in await cursor.fetchall()}
    now = await database_now(conn)
    made = (
        all(f"{table}_{start:%Y%m%d}" in there for table in ("occurrences", "attempts"))
        for start in weeks(now, ahead=_MOST_WEEKS_COUNTED)
    )
    return sum(1 for _ in takewhile(bool, made)) - 1


async def older_than(conn: Connection, instant: datetime) -> list[str]:
    """Return the names of the partitions that hold only what is older, the oldest of each table first."""
    cursor = await conn.execute(PARTITIONS)
    return [
        name
        for name, table in await cursor.fetchall()
        if (start := _start_of(name.removeprefix(f"{table}_"))) is not None and start + WEEK <= instant
    ]


async def drop(conn: Connection, name: str) -> bool:
    """Drop a partition; False when another process is at it.

    LockNotAvailable when others read or write the table all the time.
    """
    async with conn.transaction():
        if not await lock(conn):
            return False
        await conn.execute(WAIT_SHORTLY)
        await conn.execute(sql.SQL(DROP).format(partition=sql.Identifier(name)))
    return True


async def lock(conn: Connection) -> bool:
    """Let no other process look after the history until the transaction ends; False when one is at it."""
    cursor = await conn.execute(TRY_LOCK, {"lock": _LOCK})
    return (await cursor.fetchone()) == (True,)


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


def _start_of(suffix: str) -> datetime | None:
    """Return the beginning of the week that a partition's name ends in; None for the net."""
    return None if suffix == "default" else datetime.strptime(suffix, "%Y%m%d").replace(tzinfo=UTC)
