from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.ids import EventId
from shared.store import deliveries
from shared.store.deliveries import HORIZON, LEASE
from shared.store.pool import Connection
from tests.factories import (
    MINUTE,
)

MICROSECOND = timedelta(microseconds=1)
NOTHING = timedelta(0)


class TestPlans:
    """The statements that run all day touch what they need and no more, whatever the table has grown to."""

    @pytest.fixture
    async def crowded(self, conn: Connection) -> EventId:
        await conn.execute(
            """
            INSERT INTO deliveries (occurrence_id, event_id, event_version, next_at, due_at, scheduled_at,
                                    epoch, chained, recurrence_id)
            SELECT md5(n::text)::uuid, md5((n % 1000)::text)::uuid, 1, at, at, at, 1048576, true, n::text
              FROM generate_series(1, 100000) AS n, LATERAL (SELECT now() + n * interval '1 second' AS at) AS due
            """
        )
        await conn.execute("ANALYZE deliveries")
        cursor = await conn.execute("SELECT md5('1')::uuid")
        [row] = await cursor.fetchall()
        return EventId(row[0])

    async def plan_of(self, conn: Connection, statement: str, parameters: dict[str, object]) -> str:
        explained = ("EXPLAIN " + statement).encode()
        async with conn.transaction(force_rollback=True):
            cursor = await conn.execute(explained, parameters)
            return "\n".join(row[0] for row in await cursor.fetchall())

    async def test_claiming_walks_the_index_of_next_at(self, conn: Connection, crowded: EventId) -> None:
        assert crowded
        limits = {"limit": 400, "newest": 600, "share": 50}
        parameters: dict[str, object] = {"now": None, "horizon": HORIZON, "lease": LEASE, **limits}

        plan = await self.plan_of(conn, deliveries.CLAIM, parameters)

        assert "Index Scan using deliveries_next_at" in plan
        assert "Index Scan Backward using deliveries_next_at" in plan
        assert "Tid Scan on deliveries" in plan
        assert "Seq Scan" not in plan
        assert plan.count("Sort  ") <= 1  # of no more than the newest

    @pytest.mark.parametrize("number", [1, 256])
    async def test_beginning_finishing_and_retrying_go_by_the_primary_key(
        self, conn: Connection, crowded: EventId, number: int
    ) -> None:
        assert crowded
        cursor = await conn.execute("SELECT array_agg(md5(n::text)::uuid) FROM generate_series(1, %s) AS n", [number])
        [row] = await cursor.fetchall()
        parameters: dict[str, object] = {
            "ids": row[0],
            "epochs": [1048577] * number,
            "statuses": ["delivered"] * number,
            "reasons": [None] * number,
            "requests": [1] * number,
            "delays": [MINUTE] * number,
            "leases": [MINUTE] * number,
        }

        for statement in (deliveries.BEGIN, deliveries.FINISH, deliveries.RETRY, deliveries.RELEASE, deliveries.EXTEND):
            plan = await self.plan_of(conn, statement, parameters)

            assert "deliveries_pkey" in plan
            assert "Seq Scan on deliveries" not in plan

    async def test_cancelling_goes_by_the_index_of_the_event(self, conn: Connection, crowded: EventId) -> None:
        plan = await self.plan_of(conn, deliveries.CANCEL, {"event_id": crowded, "reason": "event_deleted"})

        assert "deliveries_event_id" in plan
        assert "Seq Scan on deliveries" not in plan

    async def test_the_time_of_the_next_is_read_from_the_end_of_the_index(
        self, conn: Connection, crowded: EventId
    ) -> None:
        assert crowded

        plan = await self.plan_of(conn, deliveries.FIRST, {})

        assert "using deliveries_next_at" in plan
        assert "Seq Scan" not in plan
