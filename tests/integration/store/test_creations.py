from __future__ import annotations

import asyncio

import msgspec

from shared.domain.events import Event
from shared.store import creations, partitions
from shared.store.creations import Creation
from shared.store.pool import Connection, Pool
from tests.factories import NOON, content_of, event_of, planned_of
from tests.integration.waiting import until_blocked

BEFORE_PREPARING = 5
"""So often psycopg sends a statement before it has it prepared."""
BEFORE_DECIDING = 5
"""So often PostgreSQL plans a prepared statement before it compares the costs with those of a generic plan."""


def named(external_id: str) -> Event:
    return event_of(msgspec.structs.replace(content_of(), external_id=external_id))


async def test_an_event_whose_external_id_is_taken_gets_nothing(conn: Connection) -> None:
    holder, late, other = named("x"), named("x"), named("y")
    await creations.insert(conn, [Creation(event=holder)])

    made = [Creation(event=event, first=planned_of(event)) for event in (late, other)]
    created = await creations.insert(conn, made)

    assert (created.taken, set(created.similar)) == ({late.id: holder.id}, {other.id})
    cursor = await conn.execute(
        "SELECT event_id FROM event_versions WHERE event_id = ANY (%(ids)s)"
        " UNION ALL SELECT event_id FROM deliveries WHERE event_id = ANY (%(ids)s)",
        {"ids": [late.id, other.id]},
    )
    assert await cursor.fetchall() == [(other.id,)] * 2


async def test_two_that_want_the_same_external_ids_in_another_order_never_wait_for_each_other(pool: Pool) -> None:
    async with pool.connection() as first, pool.connection() as second:
        async with first.transaction():
            await creations.insert(first, [Creation(event=named("a"))])
            waiting = asyncio.ensure_future(
                creations.insert(second, [Creation(event=named("b")), Creation(event=named("a"))])
            )
            await until_blocked(first, second)
            created = await creations.insert(first, [Creation(event=named("b"))])

        assert created.taken == {}
        assert len((await waiting).taken) == 2


async def test_the_statement_is_planned_once_however_many_events_are_similar(conn: Connection) -> None:
    async with conn.transaction(force_rollback=True):
        await partitions.make_ahead(conn, now=NOON, ahead=8)
        await conn.execute(
            "INSERT INTO events (id, name, webhook_url, created_by)"
            " SELECT gen_random_uuid(), 'x', 'https://receiver.example/', 'master' FROM generate_series(1, 5000)"
        )
        await conn.execute("ANALYZE events")

        for _ in range(BEFORE_PREPARING + BEFORE_DECIDING + 1):
            event = event_of()
            await creations.insert(conn, [Creation(event=event, first=planned_of(event))])

        cursor = await conn.execute(
            "SELECT generic_plans FROM pg_prepared_statements WHERE statement LIKE '%INSERT INTO events%json%'"
        )
        assert await cursor.fetchall() == [(1,)]
