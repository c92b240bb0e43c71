from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from deploy.local.valkey import Valkey
from services.scheduler import claimer
from services.scheduler.catching_up import Pace
from shared.domain.content import Timing
from shared.domain.deliveries import Finished, Held
from shared.domain.events import Event
from shared.domain.ids import OccurrenceId, occurrence_id_of
from shared.store import deliveries, events, planned_deliveries
from shared.store.pool import Connection, Pool
from shared.store.sight import Sight
from shared.stream import deliveries as stream
from shared.stream.client import CONNECTION_LOST, Redis, open_client
from tests import servers
from tests.factories import (
    DAY,
    HOUR,
    SECOND,
    a_claimed,
    a_waiting,
    an_event,
    claimed_of,
    content_of,
    planned_of,
    states_of,
    timing_of,
    utc_now,
)
from tests.ports import free_port

START = utc_now().replace(microsecond=0) - SECOND
DAILY = timing_of(START, schedule="FREQ=DAILY")


def id_at(event: Event, days: int) -> OccurrenceId:
    at = START + days * DAY
    return occurrence_id_of(event.id, at.replace(tzinfo=None).isoformat(), at)


async def due(conn: Connection, timing: Timing) -> Event:
    """Store an event whose first delivery is due."""
    event = await an_event(conn, content_of(timing))
    await a_waiting(conn, event, START, chained=timing.schedule is not None)
    return event


async def a_flood(conn: Connection, number: int, *, due_at: datetime) -> None:
    """Store so many deliveries to one destination, due within a millisecond."""
    await conn.execute(
        """
        INSERT INTO deliveries (occurrence_id, event_id, event_version, next_at, due_at, scheduled_at, epoch, chained,
                                destination)
        SELECT gen_random_uuid(), gen_random_uuid(), 1, at, at, at, 1048576, false, 7
          FROM generate_series(1, %(number)s) AS n, LATERAL (
               SELECT %(due_at)s::timestamptz + n * interval '1 millisecond' / %(number)s AS at) AS due
        """,
        {"number": number, "due_at": due_at},
    )


async def waiting(conn: Connection) -> int:
    """Return how many deliveries nobody holds."""
    cursor = await conn.execute("SELECT count(*) FROM deliveries WHERE NOT leased")
    [row] = await cursor.fetchall()
    return int(row[0])


async def published(redis: Redis, *, count: int = 100) -> list[Held | None]:
    await stream.ensure_group(redis)
    messages = await stream.read(redis, "reader", count=count, block=timedelta(milliseconds=1))
    return [message.held for message in messages]


async def test_what_is_due_is_claimed_and_published(pool: Pool, conn: Connection, redis: Redis) -> None:
    event = await due(conn, timing_of(START))

    await claimer.run_once(pool, redis, Pace())

    assert await states_of(conn, event.id) == {id_at(event, 0): "queued"}
    [held] = await published(redis)
    assert held is not None
    assert [loaded.occurrence_id for loaded in await deliveries.begin(conn, [held])] == [id_at(event, 0)]


async def test_a_recurring_event_gets_its_next_delivery(pool: Pool, conn: Connection, redis: Redis) -> None:
    event = await due(conn, DAILY)

    await claimer.run_once(pool, redis, Pace())

    assert await states_of(conn, event.id) == {id_at(event, 0): "queued", id_at(event, 1): "scheduled"}
    assert len(await published(redis)) == 1


async def test_a_second_pass_plans_and_publishes_nothing(pool: Pool, conn: Connection, redis: Redis) -> None:
    event = await due(conn, DAILY)
    await claimer.run_once(pool, redis, Pace())
    await published(redis)

    await claimer.run_once(pool, redis, Pace())

    assert await states_of(conn, event.id) == {id_at(event, 0): "queued", id_at(event, 1): "scheduled"}
    assert await published(redis) == []


async def test_a_claim_that_is_rescued_plans_no_second_successor(pool: Pool, conn: Connection, redis: Redis) -> None:
    event = await due(conn, DAILY)
    await claimer.run_once(pool, redis, Pace())
    [held] = await published(redis)
    assert held is not None
    await deliveries.release(conn, [held])

    await claimer.run_once(pool, redis, Pace())

    assert await states_of(conn, event.id) == {id_at(event, 0): "queued", id_at(event, 1): "scheduled"}
    assert await published(redis) == [Held(held.occurrence_id, held.epoch + 1)]


async def test_a_one_time_event_gets_no_successor(pool: Pool, conn: Connection, redis: Redis) -> None:
    event = await due(conn, timing_of(START))

    await claimer.run_once(pool, redis, Pace())

    assert (await states_of(conn, event.id)).keys() == {id_at(event, 0)}


async def test_the_last_occurrence_of_a_rule_gets_no_successor(pool: Pool, conn: Connection, redis: Redis) -> None:
    event = await due(conn, timing_of(START, schedule="FREQ=DAILY;COUNT=1", until=START))

    await claimer.run_once(pool, redis, Pace())

    assert (await states_of(conn, event.id)).keys() == {id_at(event, 0)}
    assert len(await published(redis)) == 1


async def test_a_finished_successor_is_passed_over(pool: Pool, conn: Connection, redis: Redis) -> None:
    event = await an_event(conn, content_of(DAILY))
    cancelled = await a_claimed(conn, event, START + DAY, horizon=2 * DAY)
    await deliveries.finish(conn, [Finished(cancelled.occurrence_id, cancelled.epoch, "cancelled", None, 0)])
    await a_waiting(conn, event, START, chained=True)

    await claimer.run_once(pool, redis, Pace())

    assert await states_of(conn, event.id) == {
        id_at(event, 0): "queued",
        id_at(event, 1): "cancelled",
        id_at(event, 2): "scheduled",
    }


async def test_an_event_that_is_being_changed_is_left_to_whoever_changes_it(
    pool: Pool, conn: Connection, redis: Redis
) -> None:
    event, beside = await due(conn, DAILY), await due(conn, DAILY)
    before = await rows_of(conn, event)
    async with pool.connection() as api, api.transaction():
        await events.get_to_change(api, event.id, sight=Sight(every=True))

        await claimer.run_once(pool, redis, Pace())

    assert await rows_of(conn, event) == before
    assert [held.occurrence_id for held in await published(redis) if held] == [id_at(beside, 0)]


async def test_an_event_is_claimed_as_the_first_time_after_the_change(
    pool: Pool, conn: Connection, redis: Redis
) -> None:
    event = await due(conn, DAILY)
    async with pool.connection() as api, api.transaction():
        await events.get_to_change(api, event.id, sight=Sight(every=True))
        await claimer.run_once(pool, redis, Pace())

    await claimer.run_once(pool, redis, Pace())

    assert await states_of(conn, event.id) == {id_at(event, 0): "queued", id_at(event, 1): "scheduled"}


async def test_nothing_is_claimed_while_redis_is_out_of_reach(pool: Pool, conn: Connection) -> None:
    event = await due(conn, DAILY)
    before = await rows_of(conn, event)
    async with open_client(f"redis://127.0.0.1:{free_port()}/0") as unreachable:
        with pytest.raises(CONNECTION_LOST):
            await claimer.run_once(pool, unreachable, Pace())

    assert await rows_of(conn, event) == before


async def test_a_refused_publish_gives_the_claims_back(pool: Pool, conn: Connection, redis: Redis) -> None:
    event = await due(conn, DAILY)
    await redis.xadd(stream.STREAM, {"v": "0"}, id=f"{2**64 - 1}-{2**64 - 1}")  # no id is left for another entry

    await claimer.run_once(pool, redis, Pace())

    assert await states_of(conn, event.id) == {id_at(event, 0): "scheduled", id_at(event, 1): "scheduled"}
    await redis.delete(stream.STREAM)
    await claimer.run_once(pool, redis, Pace())
    assert [held.occurrence_id for held in await published(redis) if held] == [id_at(event, 0)]


async def test_a_publish_that_is_refused_in_part_gives_back_no_more_than_that(
    pool: Pool, conn: Connection, redis: Redis
) -> None:
    made = [await due(conn, timing_of(START)) for _ in range(5)]
    await redis.xadd(stream.STREAM, {"v": "0"}, id=f"{2**64 - 1}-{2**64 - 4}")  # ids are left for three more entries

    assert await claimer.run_once(pool, redis, Pace()) == claimer.LONGEST_SLEEP

    told = {held.occurrence_id for held in await published(redis) if held}
    assert len(told) == 3
    for event in made:
        id_ = id_at(event, 0)
        assert await states_of(conn, event.id) == {id_: "queued" if id_ in told else "scheduled"}
    await redis.delete(stream.STREAM)
    await claimer.run_once(pool, redis, Pace())
    assert {held.occurrence_id for held in await published(redis) if held} == {id_at(e, 0) for e in made} - told


async def test_a_redis_that_is_full_takes_nothing_and_the_claims_go_back(pool: Pool, conn: Connection) -> None:
    event = await due(conn, timing_of(START))
    with servers.scratch_folder() as folder, Valkey(folder / "valkey", durable=False) as server:
        async with open_client(server.url()) as full:
            await full.config_set("maxmemory", "1")  # pyright: ignore[reportUnknownMemberType]

            assert await claimer.run_once(pool, full, Pace()) == claimer.LONGEST_SLEEP
            assert await states_of(conn, event.id) == {id_at(event, 0): "scheduled"}

            await full.config_set("maxmemory", "0")  # pyright: ignore[reportUnknownMemberType]
            await claimer.run_once(pool, full, Pace())
            assert [held.occurrence_id for held in await published(full) if held] == [id_at(event, 0)]


async def test_what_is_left_over_from_an_earlier_rule_plans_nothing(pool: Pool, conn: Connection, redis: Redis) -> None:
    event = await due(conn, DAILY)
    await planned_deliveries.unplan(conn, event.id, overdue=False)

    await claimer.run_once(pool, redis, Pace())

    assert await states_of(conn, event.id) == {id_at(event, 0): "queued"}


@pytest.mark.parametrize("status", ["disabled", "deleted"])
async def test_an_event_that_was_stopped_is_planned_no_further(
    pool: Pool, conn: Connection, redis: Redis, status: str
) -> None:
    event = await due(conn, DAILY)
    await conn.execute("UPDATE events SET status = %s WHERE id = %s", [status, event.id])

    await claimer.run_once(pool, redis, Pace())

    assert await states_of(conn, event.id) == {id_at(event, 0): "queued"}


async def test_nothing_is_claimed_while_the_stream_is_full(pool: Pool, conn: Connection, redis: Redis) -> None:
    event = await due(conn, DAILY)
    before = await rows_of(conn, event)
    await stream.publish(redis, [claimed_of()] * claimer.MOST_QUEUED)

    assert await claimer.run_once(pool, redis, Pace()) == claimer.FULL_STREAM_SLEEP

    assert await rows_of(conn, event) == before


async def test_a_pass_sleeps_until_the_next_comes_within_the_horizon(
    pool: Pool, conn: Connection, redis: Redis
) -> None:
    assert await claimer.run_once(pool, redis, Pace()) == claimer.LONGEST_SLEEP
    event = await an_event(conn)
    await a_waiting(conn, event, utc_now() + HOUR)
    assert await claimer.run_once(pool, redis, Pace()) == claimer.LONGEST_SLEEP
    beyond = utc_now() + deliveries.HORIZON
    # However late the next pass is made, one of them comes within the horizon soon after it.
    await planned_deliveries.insert(
        conn, [planned_of(event, beyond + n * timedelta(milliseconds=500)) for n in range(1, 200)]
    )
    assert claimer.SHORTEST_SLEEP <= await claimer.run_once(pool, redis, Pace()) < claimer.LONGEST_SLEEP


async def test_a_full_batch_is_followed_by_another_at_once(pool: Pool, conn: Connection, redis: Redis) -> None:
    event = await an_event(conn)
    await planned_deliveries.insert(
        conn, [planned_of(event, START - number * SECOND) for number in range(claimer.BATCH + claimer.NEWEST.share + 1)]
    )

    assert await claimer.run_once(pool, redis, Pace()) == timedelta(0)
    assert await claimer.run_once(pool, redis, Pace()) > timedelta(0)

    assert set((await states_of(conn, event.id)).values()) == {"queued"}


async def test_a_backlog_does_not_stand_in_the_way_of_what_has_just_come_due(
    pool: Pool, conn: Connection, redis: Redis
) -> None:
    event = await an_event(conn)
    await planned_deliveries.insert(
        conn, [planned_of(event, START - number * SECOND) for number in range(2 * claimer.BATCH)]
    )
    fresh = await a_waiting(conn, event, utc_now())

    await claimer.run_once(pool, redis, Pace())

    assert (await states_of(conn, event.id))[fresh.occurrence_id] == "queued"
    assert list((await states_of(conn, event.id)).values()).count("scheduled") > 0


async def test_a_flood_of_one_destination_does_not_hide_what_is_due_to_another_later(
    pool: Pool, conn: Connection, redis: Redis
) -> None:
    await a_flood(conn, 5000, due_at=utc_now())
    event = await an_event(conn)
    beside = await a_waiting(conn, event, utc_now() + SECOND)

    await claimer.run_once(pool, redis, Pace())

    assert await states_of(conn, event.id) == {beside.occurrence_id: "queued"}
    assert beside.occurrence_id in {held.occurrence_id for held in await published(redis, count=1000) if held}
    assert await waiting(conn) > 0


async def test_a_flood_that_is_the_newest_leaves_room_for_what_is_new_beside_it(
    pool: Pool, conn: Connection, redis: Redis
) -> None:
    await a_flood(conn, 5000, due_at=utc_now() - SECOND)
    event = await an_event(conn)
    beside = await a_waiting(conn, event, utc_now())
    await a_flood(conn, claimer.NEWEST.newest - 1, due_at=utc_now() + SECOND)

    await claimer.run_once(pool, redis, Pace())

    assert await states_of(conn, event.id) == {beside.occurrence_id: "queued"}


async def test_behind_a_long_stream_a_backlog_waits_and_what_is_new_elsewhere_does_not(
    pool: Pool, conn: Connection, redis: Redis
) -> None:
    await a_flood(conn, 1000, due_at=utc_now() - SECOND)
    event = await an_event(conn)
    beside = await a_waiting(conn, event, utc_now())
    await stream.publish(redis, [claimed_of()] * claimer.MOST_QUEUED_EACH)

    await claimer.run_once(pool, redis, Pace())

    assert await states_of(conn, event.id) == {beside.occurrence_id: "queued"}
    assert await waiting(conn) == 1000 - claimer.SHARE_WHEN_FULL


async def test_a_stream_is_as_long_as_its_dispatchers_are_many(pool: Pool, conn: Connection, redis: Redis) -> None:
    await a_flood(conn, 1000, due_at=utc_now() - SECOND)
    await stream.publish(redis, [claimed_of()] * claimer.MOST_QUEUED_EACH)
    await stream.ensure_group(redis)
    for consumer in ("one", "other"):
        await stream.read(redis, consumer, count=1, block=timedelta(milliseconds=1))

    await claimer.run_once(pool, redis, Pace())

    assert await waiting(conn) == 1000 - claimer.NEWEST.share - claimer.BATCH


async def test_two_schedulers_share_what_is_due(pool: Pool, conn: Connection, redis: Redis) -> None:
    made = [await due(conn, DAILY) for _ in range(20)]

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(claimer.run_once(pool, redis, Pace()))

    messages = [held.occurrence_id for held in await published(redis) if held]
    assert sorted(messages) == sorted(id_at(event, 0) for event in made)
    for event in made:
        assert await states_of(conn, event.id) == {id_at(event, 0): "queued", id_at(event, 1): "scheduled"}


async def rows_of(conn: Connection, event: Event) -> list[tuple[object, ...]]:
    cursor = await conn.execute(
        "SELECT occurrence_id, epoch, next_at, due_at, leased, attempts FROM deliveries WHERE event_id = %s"
        " ORDER BY occurrence_id",
        [event.id],
    )
    return list(await cursor.fetchall())
