from __future__ import annotations

import asyncio

import msgspec

from shared.domain.events import Event
from shared.store import creations
from shared.store.creations import Creation
from shared.store.pool import Connection, Pool
from tests.factories import content_of, event_of, planned_of
from tests.integration.waiting import until_blocked


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
