from __future__ import annotations

from services.scheduler import watching
from shared import metrics
from shared.store import partitions
from shared.store.clock import database_now
from shared.store.pool import Connection, Pool
from shared.stream import deliveries as stream
from shared.stream.client import Redis
from tests.factories import HOUR, a_claimed, a_waiting, an_event, claimed_of, utc_now


def shown(name: str, **labels: str) -> float | None:
    """Return what is shown to those who ask for metrics."""
    return metrics.SCHEDULER.get_sample_value(f"qhronos_{name}", labels)


async def test_the_age_of_the_oldest_overdue_delivery_is_shown(conn: Connection, pool: Pool, redis: Redis) -> None:
    await a_waiting(conn, await an_event(conn), utc_now() - HOUR)

    assert await watching.look(pool, redis) == watching.LOOK_EVERY

    age = shown("oldest_overdue_seconds")
    assert age is not None
    assert age >= HOUR.total_seconds()


async def test_messages_are_shown_as_unread_or_not_yet_ended(pool: Pool, redis: Redis) -> None:
    await stream.ensure_group(redis)
    await stream.publish(redis, [claimed_of() for _ in range(5)])
    [one, two] = await stream.read(redis, "first", count=2, block=watching.LOOK_EVERY)
    await stream.forget(redis, [one.id])

    await watching.look(pool, redis)
    assert [shown("stream_lag"), shown("stream_pending"), shown("stream_consumers")] == [3, 1, 1]

    await stream.forget(redis, [two.id])
    await watching.look(pool, redis)
    assert [shown("stream_lag"), shown("stream_pending")] == [3, 0]


async def test_without_a_stream_nothing_waits_there(pool: Pool, redis: Redis) -> None:
    await watching.look(pool, redis)

    assert [shown("stream_lag"), shown("stream_pending"), shown("stream_consumers")] == [0, 0, 0]


async def test_a_destination_whose_breaker_opened_is_shown(conn: Connection, pool: Pool, redis: Redis) -> None:
    await conn.execute("""
        INSERT INTO destinations (id, origin, failures, blocked_until)
        VALUES (1, 'https://a.example', 9, now() + interval '1 hour')
    """)

    await watching.look(pool, redis)

    assert shown("destinations", state="open") == 1


async def test_it_is_shown_for_how_long_there_are_partitions(conn: Connection, pool: Pool, redis: Redis) -> None:
    await conn.execute("BEGIN")
    before = await partitions.weeks_ahead(conn)
    await partitions.make_ahead(conn, now=await database_now(conn), ahead=6)
    assert await partitions.weeks_ahead(conn) == 6
    await conn.execute("ROLLBACK")

    await watching.look(pool, redis)

    assert shown("partitions_ahead_weeks") == before


async def test_live_deliveries_are_counted(conn: Connection, pool: Pool) -> None:
    event = await an_event(conn)
    await a_claimed(conn, event)
    await a_waiting(conn, event, utc_now() + HOUR)

    assert await watching.count(pool) >= watching.COUNT_EVERY

    assert shown("deliveries", status="scheduled") == 1
    assert shown("deliveries", status="queued") == 1
    assert shown("deliveries", status="retrying") == 0
