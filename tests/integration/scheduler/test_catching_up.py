from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec
import pytest

from services.scheduler import claimer
from services.scheduler.catching_up import Pace
from shared.domain.content import Misfire, MisfirePolicy
from shared.domain.events import Event
from shared.domain.overrides import StoredOverride
from shared.store import overrides, planned_deliveries
from shared.store.pool import Connection, Pool
from shared.stream.client import Redis
from tests.factories import DAY, HOUR, MINUTE, SECOND, a_waiting, an_event, content_of, planned_of, timing_of, utc_now

OUTAGE = 3 * HOUR
DUE = 181
"""Minutely, the outage's first and last minute included."""


async def after_an_outage(
    conn: Connection, misfire: Misfire, *, length: timedelta = OUTAGE, moved_to: timedelta | None = None
) -> datetime:
    """Store a minutely event whose next delivery has waited for three hours; return its time.

    An earlier occurrence may have been moved to so long after that.
    """
    start = utc_now().replace(microsecond=0) - length - 10 * SECOND - (30 * SECOND if moved_to else 0 * SECOND)
    earlier = start - MINUTE
    content = content_of(timing_of(earlier, schedule="FREQ=MINUTELY"))
    event = await an_event(conn, msgspec.structs.replace(content, misfire=misfire))
    await a_waiting(conn, event, start, chained=True)
    if moved_to:
        await a_moved(conn, event, earlier, start + moved_to)
    return start


async def a_moved(conn: Connection, event: Event, original_at: datetime, moved_to: datetime) -> None:
    recurrence_id = original_at.replace(tzinfo=None).isoformat()
    await overrides.put(
        conn,
        event.id,
        StoredOverride(
            recurrence_id=recurrence_id, original_at=original_at, scheduled_at=moved_to, created_at=original_at
        ),
    )
    await planned_deliveries.insert(
        conn, [msgspec.structs.replace(planned_of(event, original_at), scheduled_at=moved_to)]
    )


async def a_moved_late_one(conn: Connection, misfire: Misfire) -> datetime:
    """Store a daily event of which nothing but a moved occurrence is late, by three hours; return its time."""
    start = utc_now().replace(microsecond=0) - DAY + HOUR
    content = content_of(timing_of(start, schedule="FREQ=DAILY"))
    event = await an_event(conn, msgspec.structs.replace(content, misfire=misfire))
    await a_waiting(conn, event, start + DAY, chained=True)
    await a_moved(conn, event, start, start + DAY - HOUR - OUTAGE)
    return start + DAY - HOUR - OUTAGE


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

    await claimer.run_once(pool, redis, Pace())

    newest = start + (DUE - 1) * MINUTE
    assert await live(conn) == [(newest, True, DUE - 1)]
    assert await records(conn) == [("missed", "misfire", start, DUE - 1)]
    assert await waiting_next(conn) == [newest + MINUTE]


async def test_all_delivers_the_newest_hundred_in_order_and_paced(pool: Pool, conn: Connection, redis: Redis) -> None:
    start = await after_an_outage(conn, Misfire(policy="all"))

    await claimer.run_once(pool, redis, Pace())

    expected = [start + n * MINUTE for n in range(DUE - 100, DUE)]
    assert [at for at, _, _ in await live(conn)] == expected
    assert {(catch_up, missed) for _, catch_up, missed in await live(conn)} == {(True, 0)}
    assert await records(conn) == [("missed", "misfire", start, DUE - 100)]
    cursor = await conn.execute("SELECT due_at FROM deliveries WHERE catch_up ORDER BY scheduled_at")
    due = [at for (at,) in await cursor.fetchall()]
    assert {later - sooner for sooner, later in pairwise(due)} == {SECOND}


async def test_skip_delivers_none_of_them(pool: Pool, conn: Connection, redis: Redis) -> None:
    start = await after_an_outage(conn, Misfire(policy="skip"))

    await claimer.run_once(pool, redis, Pace())

    assert await live(conn) == []
    assert await records(conn) == [("missed", "misfire", start, DUE)]
    assert await waiting_next(conn) == [start + DUE * MINUTE]


async def test_what_is_older_than_the_grace_is_missed_whatever_the_policy(
    pool: Pool, conn: Connection, redis: Redis
) -> None:
    start = await after_an_outage(conn, Misfire(policy="all", grace="PT5M30S"))

    await claimer.run_once(pool, redis, Pace())

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

    await claimer.run_once(pool, redis, Pace())

    assert await live(conn) == [(at, True, 0)]
    assert await records(conn) == []


async def test_a_little_late_is_no_misfire(pool: Pool, conn: Connection, redis: Redis) -> None:
    at = utc_now().replace(microsecond=0) - timedelta(seconds=20)
    event = await an_event(conn, msgspec.structs.replace(content_of(timing_of(at, schedule="FREQ=DAILY")),
                                                         misfire=Misfire(policy="skip")))  # fmt: skip
    await a_waiting(conn, event, at, chained=True)

    await claimer.run_once(pool, redis, Pace())

    assert await live(conn) == [(at, False, 0)]


async def test_a_single_time_is_delivered_however_late(pool: Pool, conn: Connection, redis: Redis) -> None:
    at = utc_now() - 400 * HOUR
    event = await an_event(conn, msgspec.structs.replace(content_of(timing_of(at)), misfire=Misfire(policy="skip")))
    await a_waiting(conn, event, at)

    await claimer.run_once(pool, redis, Pace())

    assert await live(conn) == [(at, False, 0)]


async def test_settling_again_settles_nothing(pool: Pool, conn: Connection, redis: Redis) -> None:
    await after_an_outage(conn, Misfire(policy="latest"))
    await claimer.run_once(pool, redis, Pace())
    settled: Mapping[str, object] = {"live": await live(conn), "records": await records(conn)}

    await claimer.run_once(pool, redis, Pace())

    assert {"live": await live(conn), "records": await records(conn)} == settled


async def test_of_an_outage_of_a_month_the_newest_is_delivered_and_all_are_counted(
    pool: Pool, conn: Connection, redis: Redis
) -> None:
    start = await after_an_outage(conn, Misfire(policy="latest"), length=30 * DAY)

    await claimer.run_once(pool, redis, Pace())

    newest = start + 30 * DAY
    assert await live(conn) == [(newest, True, 30 * 24 * 60)]
    assert await records(conn) == [("missed", "misfire", start, 30 * 24 * 60)]
    assert await waiting_next(conn) == [newest + MINUTE]


async def test_a_moved_one_is_missed_when_nothing_late_is_delivered(pool: Pool, conn: Connection, redis: Redis) -> None:
    moved_to = await a_moved_late_one(conn, Misfire(policy="skip"))

    await claimer.run_once(pool, redis, Pace())

    assert await live(conn) == []
    assert await records(conn) == [("missed", "misfire", moved_to, 1)]
    assert len(await waiting_next(conn)) == 1


async def test_a_moved_one_beyond_the_grace_is_missed(pool: Pool, conn: Connection, redis: Redis) -> None:
    moved_to = await a_moved_late_one(conn, Misfire(policy="all", grace="PT1H"))

    await claimer.run_once(pool, redis, Pace())

    assert await records(conn) == [("missed", "misfire", moved_to, 1)]


@pytest.mark.parametrize("policy", ["latest", "all"])
async def test_a_late_moved_one_is_delivered_when_it_is_the_newest(
    pool: Pool, conn: Connection, redis: Redis, policy: MisfirePolicy
) -> None:
    moved_to = await a_moved_late_one(conn, Misfire(policy=policy))

    await claimer.run_once(pool, redis, Pace())

    assert await live(conn) == [(moved_to, True, 0)]
    assert await records(conn) == []


@pytest.mark.parametrize(("moved_by", "newest_is_moved"), [(-30 * SECOND, False), (30 * SECOND, True)])
async def test_latest_means_the_newest_of_those_in_place_and_those_moved(
    pool: Pool, conn: Connection, redis: Redis, *, moved_by: timedelta, newest_is_moved: bool
) -> None:
    start = await after_an_outage(conn, Misfire(policy="latest"), moved_to=OUTAGE + moved_by)

    await claimer.run_once(pool, redis, Pace())

    newest = start + OUTAGE + (moved_by if newest_is_moved else 0 * SECOND)
    assert [(at, catch_up) for at, catch_up, _ in await live(conn)] == [(newest, True)]
    in_place = DUE if newest_is_moved else DUE - 1
    expected = [("missed", "misfire", start, in_place)]
    assert sorted(await records(conn))[:1] == expected
    assert len(await records(conn)) == (1 if newest_is_moved else 2)
    assert sum(missed for _, _, _, missed in await records(conn)) == DUE


async def test_what_a_trigger_asked_for_is_delivered_however_late(pool: Pool, conn: Connection, redis: Redis) -> None:
    content = content_of(timing_of(utc_now().replace(microsecond=0) + DAY, schedule="FREQ=DAILY"))
    event = await an_event(conn, msgspec.structs.replace(content, misfire=Misfire(policy="skip")))
    late = utc_now() - HOUR
    triggered = msgspec.structs.replace(planned_of(event, late), recurrence_id=None)
    await planned_deliveries.insert(conn, [triggered])

    await claimer.run_once(pool, redis, Pace())

    assert await live(conn) == [(late, False, 0)]
