from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec
import pytest

from services.scheduler import claimer
from shared.domain.content import Misfire, MisfirePolicy
from shared.store.pool import Connection, Pool
from shared.stream.client import Redis
from tests.factories import HOUR, MINUTE, SECOND, a_waiting, an_event, content_of, timing_of, utc_now

OUTAGE = 3 * HOUR
DUE = 181
"""Minutely, the outage's first and last minute included."""


async def after_an_outage(conn: Connection, misfire: Misfire) -> datetime:
    """Store a minutely event whose next delivery has waited for three hours; return its time."""
    start = utc_now().replace(microsecond=0) - OUTAGE - 10 * SECOND
    event = await an_event(
        conn, msgspec.structs.replace(content_of(timing_of(start, schedule="FREQ=MINUTELY")), misfire=misfire)
    )
    await a_waiting(conn, event, start, chained=True)
    return start


async def live(conn: Connection) -> list[tuple[datetime, bool, int]]:
    """Return time, catch_up and missed_count of what is to be delivered, without the event's next."""
    cursor = await conn.execute(
        "SELECT scheduled_at, catch_up, missed_count FROM deliveries WHERE scheduled_at <= now() ORDER BY scheduled_at"
    )
    return [(at, catch_up, missed) for at, catch_up, missed in await cursor.fetchall()]


async def records(conn: Connection) -> list[tuple[str, str, datetime, int]]:
    cursor = await conn.execute("SELECT status, status_reason, scheduled_at, missed_count FROM occurrences")
    return [(status, reason, at, missed) for status, reason, at, missed in await cursor.fetchall()]


async def waiting_next(conn: Connection) -> list[datetime]:
    cursor = await conn.execute("SELECT scheduled_at FROM deliveries WHERE scheduled_at > now() AND chained")
    return [at for (at,) in await cursor.fetchall()]


async def test_latest_delivers_the_newest_and_counts_those_before_it(
    pool: Pool, conn: Connection, redis: Redis
) -> None:
    start = await after_an_outage(conn, Misfire(policy="latest"))

    await claimer.run_once(pool, redis)

    newest = start + (DUE - 1) * MINUTE
    assert await live(conn) == [(newest, True, DUE - 1)]
    assert await records(conn) == [("missed", "misfire", start, DUE - 1)]
    assert await waiting_next(conn) == [newest + MINUTE]


async def test_all_delivers_the_newest_hundred_in_order_and_paced(pool: Pool, conn: Connection, redis: Redis) -> None:
    start = await after_an_outage(conn, Misfire(policy="all"))

    await claimer.run_once(pool, redis)

    expected = [start + n * MINUTE for n in range(DUE - 100, DUE)]
    assert [at for at, _, _ in await live(conn)] == expected
    assert {(catch_up, missed) for _, catch_up, missed in await live(conn)} == {(True, 0)}
    assert await records(conn) == [("missed", "misfire", start, DUE - 100)]
    cursor = await conn.execute("SELECT due_at FROM deliveries WHERE catch_up ORDER BY scheduled_at")
    due = [at for (at,) in await cursor.fetchall()]
    assert {later - sooner for sooner, later in pairwise(due)} == {SECOND}


async def test_skip_delivers_none_of_them(pool: Pool, conn: Connection, redis: Redis) -> None:
    start = await after_an_outage(conn, Misfire(policy="skip"))

    await claimer.run_once(pool, redis)

    assert await live(conn) == []
    assert await records(conn) == [("missed", "misfire", start, DUE)]
    assert await waiting_next(conn) == [start + DUE * MINUTE]


async def test_what_is_older_than_the_grace_is_missed_whatever_the_policy(
    pool: Pool, conn: Connection, redis: Redis
) -> None:
    start = await after_an_outage(conn, Misfire(policy="all", grace="PT5M30S"))

    await claimer.run_once(pool, redis)

    assert len(await live(conn)) == 6
    assert await records(conn) == [("missed", "misfire", start, DUE - 6)]


@pytest.mark.parametrize("policy", ["latest", "all"])
async def test_a_single_late_one_is_delivered_as_it_is(
    pool: Pool, conn: Connection, redis: Redis, policy: MisfirePolicy
) -> None:
    at = utc_now().replace(microsecond=0) - timedelta(seconds=90)
    content = msgspec.structs.replace(content_of(timing_of(at, schedule="FREQ=DAILY")), misfire=Misfire(policy=policy))
    event = await an_event(conn, content)
    await a_waiting(conn, event, at, chained=True)

    await claimer.run_once(pool, redis)

    assert await live(conn) == [(at, True, 0)]
    assert await records(conn) == []


async def test_a_little_late_is_no_misfire(pool: Pool, conn: Connection, redis: Redis) -> None:
    at = utc_now().replace(microsecond=0) - timedelta(seconds=50)
    event = await an_event(conn, msgspec.structs.replace(content_of(timing_of(at, schedule="FREQ=DAILY")),
                                                         misfire=Misfire(policy="skip")))  # fmt: skip
    await a_waiting(conn, event, at, chained=True)

    await claimer.run_once(pool, redis)

    assert await live(conn) == [(at, False, 0)]


async def test_a_single_time_is_delivered_however_late(pool: Pool, conn: Connection, redis: Redis) -> None:
    at = utc_now() - 400 * HOUR
    event = await an_event(conn, msgspec.structs.replace(content_of(timing_of(at)), misfire=Misfire(policy="skip")))
    await a_waiting(conn, event, at)

    await claimer.run_once(pool, redis)

    assert await live(conn) == [(at, False, 0)]


async def test_settling_again_settles_nothing(pool: Pool, conn: Connection, redis: Redis) -> None:
    await after_an_outage(conn, Misfire(policy="latest"))
    await claimer.run_once(pool, redis)
    settled: Mapping[str, object] = {"live": await live(conn), "records": await records(conn)}

    await claimer.run_once(pool, redis)

    assert {"live": await live(conn), "records": await records(conn)} == settled
