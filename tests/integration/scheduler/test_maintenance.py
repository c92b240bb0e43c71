from __future__ import annotations

import asyncio
from collections.abc import Generator

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

        assert await maintenance.run_once(pool) == maintenance.EVERY

        assert await occurrences_partitions(conn) == [*expected, "occurrences_default"]
        assert (await events.get(conn, left.id, sight=EVERYTHING)).status == "completed"


async def test_two_passes_at_once_make_each_partition_once(fresh: str) -> None:
    async with open_pool(fresh, name="test", size=2) as pool:
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(maintenance.run_once(pool))

        async with pool.connection() as conn:
            assert len(await occurrences_partitions(conn)) == maintenance.WEEKS_AHEAD + 2
