from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random

from shared.domain.destinations import TRIPS_AT, DestinationId, Tally
from shared.store import destinations
from shared.store.clock import database_now
from shared.store.pool import Connection, Pool
from tests.factories import HOUR, MINUTE, SECOND

HERE, THERE = DestinationId(1), DestinationId(2**63 - 1)
HOLD = 75 * SECOND
DISPATCHERS = 8


def failed(weight: int, *, retry_after: timedelta | None = None) -> Tally:
    return Tally(origin="https://receiver.example:443", failures=weight, answered=False, retry_after=retry_after)


ANSWERED = Tally(origin="https://receiver.example:443", failures=0, answered=True)


async def row_of(conn: Connection, id_: DestinationId) -> tuple[object, ...]:
    """Return failures, trips, whether it was blocked when it was written, and whether somebody probes it."""
    cursor = await conn.execute(
        "SELECT failures, trips, coalesce(blocked_until > updated_at, false), probing FROM destinations WHERE id = %s",
        [id_],
    )
    [row] = await cursor.fetchall()
    return row


async def a_blocked(conn: Connection, id_: DestinationId = HERE, *, is_over: bool = False) -> None:
    """Store a destination that is blocked for an hour, or that was until now."""
    await destinations.record(conn, {id_: failed(TRIPS_AT)})
    left = timedelta(0) if is_over else HOUR
    await conn.execute("UPDATE destinations SET blocked_until = clock_timestamp() + %s WHERE id = %s", [left, id_])


class TestRecord:
    async def test_failures_add_up_until_the_destination_is_blocked(self, conn: Connection) -> None:
        await destinations.record(conn, {HERE: failed(TRIPS_AT - 1)})
        assert await row_of(conn, HERE) == (TRIPS_AT - 1, 0, False, False)

        await destinations.record(conn, {HERE: failed(1)})

        assert await row_of(conn, HERE) == (TRIPS_AT, 1, True, False)

    async def test_an_answer_forgets_all(self, conn: Connection) -> None:
        await a_blocked(conn)

        await destinations.record(conn, {HERE: ANSWERED})

        assert await destinations.known(conn) == {}

    async def test_of_a_destination_that_is_well_nothing_is_kept(self, conn: Connection) -> None:
        await destinations.record(conn, {HERE: ANSWERED})

        assert await destinations.known(conn) == {}

    async def test_one_destinations_failures_are_nothing_to_another(self, conn: Connection) -> None:
        await destinations.record(conn, {HERE: failed(TRIPS_AT), THERE: failed(1)})

        assert await row_of(conn, HERE) == (TRIPS_AT, 1, True, False)
        assert await row_of(conn, THERE) == (1, 0, False, False)

    async def test_retry_after_blocks_at_once_and_by_the_databases_clock(self, conn: Connection) -> None:
        before = await database_now(conn)
        await destinations.record(conn, {HERE: failed(1, retry_after=HOUR)})

        until = (await destinations.known(conn))[HERE]

        assert until is not None
        assert before + HOUR <= until <= await database_now(conn) + HOUR

    async def test_what_several_dispatchers_record_at_once_is_all_counted(self, pool: Pool, conn: Connection) -> None:
        weight = (TRIPS_AT - 1) // DISPATCHERS

        async def dispatcher() -> None:
            async with pool.connection() as mine:
                for _ in range(weight):
                    await destinations.record(mine, {HERE: failed(1), THERE: failed(1)})

        async with asyncio.TaskGroup() as group:
            for _ in range(DISPATCHERS - 1):
                group.create_task(dispatcher())

        assert await row_of(conn, HERE) == (weight * (DISPATCHERS - 1), 0, False, False)
        assert await row_of(conn, THERE) == (weight * (DISPATCHERS - 1), 0, False, False)

    async def test_a_storm_of_failures_blocks_once(self, pool: Pool, conn: Connection) -> None:
        async def dispatcher() -> None:
            async with pool.connection() as mine:
                await destinations.record(mine, {HERE: failed(TRIPS_AT)})

        async with asyncio.TaskGroup() as group:
            for _ in range(DISPATCHERS - 1):
                group.create_task(dispatcher())

        assert await row_of(conn, HERE) == (TRIPS_AT * (DISPATCHERS - 1), 1, True, False)

    async def test_dispatchers_that_record_the_same_destinations_do_not_wait_for_each_other_in_a_circle(
        self, pool: Pool
    ) -> None:
        random = Random(5)
        ids = [DestinationId(n) for n in range(1, 20)]
        rounds: list[dict[DestinationId, Tally]] = []

        async def dispatcher() -> None:
            async with pool.connection() as mine:
                for _ in range(10):
                    some = random.sample(ids, 12)
                    news = {id_: failed(1) if random.random() < 0.6 else ANSWERED for id_ in some}
                    await destinations.record(mine, news)
                    await destinations.probe(mine, random.sample(ids, 12), hold=HOLD)
                    rounds.append(news)

        async with asyncio.TaskGroup() as group:
            for _ in range(DISPATCHERS):
                group.create_task(dispatcher())

        assert len(rounds) == 10 * DISPATCHERS  # a deadlock would have ended one of them


class TestProbe:
    async def test_of_many_at_once_exactly_one_may_try(self, pool: Pool, conn: Connection) -> None:
        await a_blocked(conn, HERE, is_over=True)
        await a_blocked(conn, THERE, is_over=True)

        async def dispatcher() -> set[DestinationId]:
            async with pool.connection() as mine:
                return await destinations.probe(mine, [THERE, HERE], hold=HOLD)

        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(dispatcher()) for _ in range(DISPATCHERS - 1)]

        assert sorted(id_ for each in asked for id_ in each.result()) == [HERE, THERE]

    async def test_nobody_may_try_while_it_is_blocked(self, conn: Connection) -> None:
        await a_blocked(conn)

        assert await destinations.probe(conn, [HERE], hold=HOLD) == set()

    async def test_nobody_needs_to_try_what_is_not_blocked_or_not_known(self, conn: Connection) -> None:
        await destinations.record(conn, {HERE: failed(1)})

        assert await destinations.probe(conn, [HERE, THERE], hold=HOLD) == set()

    async def test_a_probe_that_is_never_recorded_holds_up_the_next_for_so_long_and_no_longer(
        self, conn: Connection
    ) -> None:
        await a_blocked(conn, is_over=True)
        assert await destinations.probe(conn, [HERE], hold=HOLD) == {HERE}
        assert await destinations.probe(conn, [HERE], hold=HOLD) == set()
        await conn.execute("UPDATE destinations SET blocked_until = blocked_until - %s", [HOLD])

        assert await destinations.probe(conn, [HERE], hold=HOLD) == {HERE}

    async def test_a_failed_probe_blocks_anew_and_for_longer(self, conn: Connection) -> None:
        await a_blocked(conn, is_over=True)
        await destinations.probe(conn, [HERE], hold=HOLD)
        before = await database_now(conn)

        await destinations.record(conn, {HERE: failed(1)})

        assert await row_of(conn, HERE) == (TRIPS_AT + 1, 2, True, False)
        until = (await destinations.known(conn))[HERE]
        assert until is not None
        assert before + 10 * SECOND <= until <= await database_now(conn) + 10 * SECOND

    async def test_a_probe_that_is_answered_closes(self, conn: Connection) -> None:
        await a_blocked(conn, is_over=True)
        await destinations.probe(conn, [HERE], hold=HOLD)

        await destinations.record(conn, {HERE: ANSWERED})

        assert await destinations.known(conn) == {}


class TestKnown:
    async def test_it_says_who_is_blocked_and_until_when(self, conn: Connection) -> None:
        await destinations.record(conn, {HERE: failed(1, retry_after=MINUTE), THERE: failed(1)})

        known = await destinations.known(conn)

        assert known.keys() == {HERE, THERE}
        assert known[THERE] is None
        assert known[HERE] is not None

    async def test_while_somebody_tries_it_is_asked_again_soon(self, conn: Connection) -> None:
        await a_blocked(conn, is_over=True)
        await destinations.probe(conn, [HERE], hold=HOUR)

        until = (await destinations.known(conn))[HERE]

        assert until is not None
        assert until <= await database_now(conn) + SECOND
