from __future__ import annotations

from datetime import datetime, timedelta

from shared.store.clock import DatabaseClock
from shared.store.pool import Connection
from tests.factories import HOUR, MINUTE


async def database_time(conn: Connection) -> datetime:
    cursor = await conn.execute("SELECT clock_timestamp()", binary=True)
    [row] = await cursor.fetchall()
    return row[0]


async def test_the_clock_never_runs_ahead_of_the_database(conn: Connection) -> None:
    clock = DatabaseClock()
    for _ in range(20):
        await clock.sync(conn)
        estimate = clock.now()

        assert estimate <= await database_time(conn)


async def test_the_clock_goes_on_between_two_questions(conn: Connection) -> None:
    clock = DatabaseClock()
    await clock.sync(conn)

    before = await database_time(conn)

    assert abs(clock.now() - before) < MINUTE
    assert clock.now() < clock.now() + timedelta(microseconds=1)
    assert 0 < clock.seconds_until(before + HOUR) <= HOUR.total_seconds() + 1
    assert clock.seconds_until(before - HOUR) < 0
