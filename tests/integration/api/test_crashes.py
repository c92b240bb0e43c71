"""An API that dies before its commit has done nothing."""

from __future__ import annotations

import asyncio

from shared.store.pool import Connection, Pool
from tests.integration.api.client import Api, assert_problem, event_body
from tests.integration.waiting import until_somebody_waits


async def test_what_was_not_committed_never_was(api: Api, pool: Pool, conn: Connection) -> None:
    async with pool.connection() as other, other.transaction():
        await other.execute("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")
        creating = asyncio.create_task(api.http.post("/events", json=event_body(schedule="FREQ=DAILY")))
        await until_somebody_waits(other)  # event and version are written, and the first delivery is about to be
        await other.execute("""
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pg_backend_pid() = ANY (pg_blocking_pids(pid))
        """)

        assert_problem(await creating, 503, "unavailable")

    cursor = await conn.execute("""
        SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM event_versions)
             + (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM occurrences)
    """)
    assert await cursor.fetchall() == [(0,)]
    event = await api.create(schedule="FREQ=DAILY")
    assert [o["status"] for o in await api.occurrences_of(event)] == ["scheduled"]
