from __future__ import annotations

import asyncio
from collections.abc import Generator
from datetime import timedelta

import pytest

from services.scheduler import maintenance
from shared.store import events, partitions
from shared.store.pool import Connection, open_pool
from shared.store.sight import EVERYTHING
from tests.factories import an_event, utc_now
from tests.servers import Databases


@pytest.fixture
def fresh(databases: Databases) -> Generator[str]:
    """A database of its own, where partitions may be made for good."""
    url = databases.create()
    yield url
    databases.drop(url)


async def a_week(conn: Connection, weeks_ago: int) -> set[str]:
    """Make the partitions of a past week."""
    return set(await partitions.make_ahead(conn, now=utc_now() - timedelta(weeks=weeks_ago), ahead=0))


async def partitions_of(conn: Connection) -> set[str]:
    cursor = await conn.execute("""
        SELECT inhrelid::regclass::text FROM pg_inherits
         WHERE inhparent IN ('occurrences'::regclass, 'attempts'::regclass)
    """)
    return {row[0] for row in await cursor.fetchall()}


async def occurrences_partitions(conn: Connection) -> list[str]:
    cursor = await conn.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'occurrences'::regclass ORDER BY 1"
    )
    return [row[0] for row in await cursor.fetchall()]


async def test_a_pass_makes_partitions_for_a_month_and_completes_what_was_left(fresh: str) -> None:
    async with open_pool(fresh, name="test", size=2) as pool, pool.connection() as conn:
        left = await an_event(conn)
        weeks = partitions.weeks(utc_now(), ahead=maintenance.WEEKS_AHEAD)
        expected = [f"occurrences_{week:%Y%m%d}" for week in weeks]

        assert await maintenance.run_once(pool, None) == maintenance.EVERY

        assert await occurrences_partitions(conn) == [*expected, "occurrences_default"]
        assert (await events.get(conn, left.id, sight=EVERYTHING)).status == "completed"


async def test_two_passes_at_once_make_each_partition_once(fresh: str) -> None:
    async with open_pool(fresh, name="test", size=2) as pool:
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(maintenance.run_once(pool, None))

        async with pool.connection() as conn:
            assert len(await occurrences_partitions(conn)) == maintenance.WEEKS_AHEAD + 2


async def test_history_older_than_its_retention_is_forgotten(fresh: str) -> None:
    async with open_pool(fresh, name="test", size=2) as pool, pool.connection() as conn:
        await maintenance.run_once(pool, None)
        now_made = await partitions_of(conn)
        old, kept = await a_week(conn, 6), await a_week(conn, 3)

        assert await maintenance.run_once(pool, timedelta(weeks=4)) == maintenance.EVERY

        assert await partitions_of(conn) == now_made | kept
        assert len(old) == 2


async def test_a_week_that_is_old_in_part_is_kept(fresh: str) -> None:
    async with open_pool(fresh, name="test", size=2) as pool, pool.connection() as conn:
        week = await a_week(conn, 4)

        await maintenance.run_once(pool, timedelta(weeks=4))

        assert await partitions_of(conn) >= week


async def test_without_a_retention_history_is_kept_for_ever(fresh: str) -> None:
    async with open_pool(fresh, name="test", size=2) as pool, pool.connection() as conn:
        week = await a_week(conn, 500)

        await maintenance.run_once(pool, None)

        assert await partitions_of(conn) >= week


async def test_a_table_in_use_is_not_waited_for_but_tried_again_soon(fresh: str) -> None:
    async with open_pool(fresh, name="test", size=3) as pool, pool.connection() as conn:
        await maintenance.run_once(pool, None)
        old = await a_week(conn, 6)
        async with pool.connection() as reader, reader.transaction():
            await reader.execute("SELECT count(*) FROM occurrences")

            assert await maintenance.run_once(pool, timedelta(weeks=4)) == maintenance.SOON
            assert {name for name in await partitions_of(conn) if name in old} >= {
                name for name in old if name.startswith("occurrences")
            }

        assert await maintenance.run_once(pool, timedelta(weeks=4)) == maintenance.EVERY
        assert await partitions_of(conn) & old == set()


async def test_two_passes_at_once_drop_each_partition_once(fresh: str) -> None:
    async with open_pool(fresh, name="test", size=3) as pool, pool.connection() as conn:
        await maintenance.run_once(pool, None)
        old = await a_week(conn, 6) | await a_week(conn, 7)

        await asyncio.gather(*(maintenance.run_once(pool, timedelta(weeks=4)) for _ in range(2)))
        await maintenance.run_once(pool, timedelta(weeks=4))

        assert await partitions_of(conn) & old == set()
