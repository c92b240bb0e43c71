from __future__ import annotations

from datetime import timedelta

from shared.store import backlog, deliveries
from shared.store.pool import Connection
from tests.factories import HOUR, MINUTE, a_claimed, a_waiting, an_event, held_by, utc_now
from tests.integration.store.stations import a_begun, failed


async def waited(conn: Connection) -> timedelta:
    return await backlog.oldest_overdue(conn)


class TestOldestOverdue:
    async def test_nothing_is_overdue_while_all_wait_for_their_time(self, conn: Connection) -> None:
        await a_waiting(conn, await an_event(conn), utc_now() + HOUR)

        assert await waited(conn) == timedelta(0)

    async def test_what_nobody_has_claimed_is_overdue_since_its_time(self, conn: Connection) -> None:
        await a_waiting(conn, await an_event(conn), utc_now() - HOUR)

        assert HOUR <= await waited(conn) < HOUR + MINUTE

    async def test_what_is_claimed_and_not_begun_is_still_overdue(self, conn: Connection) -> None:
        await a_claimed(conn, await an_event(conn), utc_now() - HOUR)

        assert HOUR <= await waited(conn) < HOUR + MINUTE

    async def test_what_is_being_attempted_is_not_overdue(self, conn: Connection) -> None:
        await a_begun(conn, await an_event(conn), utc_now() - HOUR)

        assert await waited(conn) == timedelta(0)

    async def test_a_retry_is_overdue_since_the_end_of_its_delay(self, conn: Connection) -> None:
        claim = await a_begun(conn, await an_event(conn), utc_now() - HOUR)
        await deliveries.retry(conn, [failed(claim, after=-MINUTE)])

        assert MINUTE <= await waited(conn) < 2 * MINUTE


async def test_live_deliveries_are_counted_by_status(conn: Connection) -> None:
    assert await backlog.counts(conn) == {"scheduled": 0, "queued": 0, "retrying": 0}
    event = await an_event(conn)
    claims = [await a_claimed(conn, event, utc_now() - n * MINUTE) for n in (1, 2, 3)]
    await deliveries.begin(conn, [held_by(claims[0])])
    await deliveries.retry(conn, [failed(claims[0])])
    for n in (1, 2, 3):
        await a_waiting(conn, event, utc_now() + n * HOUR)

    assert await backlog.counts(conn) == {"scheduled": 3, "queued": 2, "retrying": 1}


async def test_destinations_are_counted_by_the_state_of_their_breaker(conn: Connection) -> None:
    assert await backlog.breakers(conn) == {"closed": 0, "open": 0, "half_open": 0}
    await conn.execute("""
        INSERT INTO destinations (id, origin, failures, blocked_until, probing)
        VALUES (1, 'https://a.example', 1, NULL, false),
               (2, 'https://b.example', 9, now() + interval '1 hour', false),
               (3, 'https://c.example', 9, now() + interval '1 hour', false),
               (4, 'https://d.example', 9, now() - interval '1 second', false),
               (5, 'https://e.example', 9, now() + interval '1 minute', true)
    """)

    assert await backlog.breakers(conn) == {"closed": 1, "open": 2, "half_open": 2}
